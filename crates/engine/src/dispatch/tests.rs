use super::*;
use crate::config::{CallRates, DeviceLine, LineCredentials, LineProvider, Secret, SrtpPolicy};
use crate::limits::BANNED_FOR;
use crate::load::Strain;

mod certificates;
mod parking;

#[test]
fn the_called_number_is_the_user_part() {
    assert_eq!(
        called_number("sip:+33123;phone-context=x@a.test;user=phone"),
        "+33123"
    );
    assert_eq!(called_number("sips:bob@[2001:db8::1]:5061"), "bob");
    assert_eq!(called_number("sip:a.test"), "");
    assert_eq!(called_number("tel:+33123;ext=1"), "+33123");
    assert!(same_number("+33123", "33123"));
}

fn line(name: &str, username: &str, realm: &str) -> LineConfig {
    LineConfig {
        name: name.to_owned(),
        tenant: TenantId::from("default"),
        agent: "agent".to_owned(),
        account: None,
        domain: None,
        provider: LineProvider::Sip,
        numbers: Vec::new(),
        allow: vec!["192.0.2.0/24".parse().expect("a network")],
        credentials: Some(LineCredentials {
            realm: realm.to_owned(),
            username: username.to_owned(),
            password: Secret::new("p"),
        }),
        srtp: SrtpPolicy::Off,
        codecs: vec![media::Codec::Pcmu],
        keypad: media::Keypad::default(),
        treatment: media::Treatment::default(),
        nat: crate::nat::NatConfig::default(),
        calls_max: 0,
        rates: CallRates::default(),
        certificates: crate::config::ClientCertificates::default(),
        identity: crate::config::IdentityPolicy::Off,
        sip_account: None,
        device: None,
    }
}

fn dispatcher(lines: Vec<LineConfig>) -> Dispatcher {
    let agent = AgentConfig {
        name: "agent".to_owned(),
        instructions: String::new(),
        profile: call::Profile::default(),
        tools: Vec::new(),
        engine: EngineChoice::new(RealtimeConfig::default()),
        fallback: None,
        office: None,
    };
    let config = Config {
        lines,
        agents: vec![agent],
        ..Config::default()
    };
    Dispatcher::new(Instant::now(), &config, Draining::default()).expect("usable")
}

fn invite(source: [u8; 4], from: &str, proof: Option<(&str, &str)>) -> IncomingInvite {
    let user = called_number(from);
    IncomingInvite {
        device: None,
        invite: sip::InviteId(1),
        account: None,
        protocol: sip::Protocol::Udp,
        source: (source, 5060).into(),
        listener: None,
        connection: None,
        local: ([127, 0, 0, 1], 5060).into(),
        call_id: "c".to_owned(),
        from: sip::Party {
            uri: from.to_owned(),
            user: if from.starts_with("tel:") { "" } else { user }.to_owned(),
            display: None,
        },
        to: sip::Party::default(),
        request_uri: "sip:anything@allo.test".to_owned(),
        p_asserted_identity: None,
        identities: Vec::new(),
        date: None,
        offer: None,
        authenticated: proof.map(|(user, _)| user.to_owned()),
        realm: proof.map(|(_, realm)| realm.to_owned()),
        proof_rejected: false,
        user_agent: None,
        secure: false,
        replaces: None,
    }
}

/// A decision in a word.
fn word(decision: &Decision) -> String {
    match decision {
        Decision::Accept { line, .. } => format!("accept {}", line.config.name),
        Decision::Come { line, dialled, .. } => match dialled {
            Dialled::Parked(place) => {
                let place = place.map_or_else(|| "any".to_owned(), |place| place.to_string());
                format!("retrieve {} {place}", line.config.name)
            }
            Dialled::Running { way, caller } => {
                format!("{} {} {caller}", way.action(), line.config.name)
            }
        },
        Decision::Refuse { status, code, .. } => format!("{status} {code}"),
        Decision::Challenge { .. } => "challenge".to_owned(),
        Decision::Drop => "drop".to_owned(),
    }
}

const STRANGER: [u8; 4] = [198, 51, 100, 1];

#[test]
fn pattern_27_the_password_of_one_is_not_the_name_of_another() {
    let now = Instant::now();
    let mut two = dispatcher(vec![line("one", "alice", "a"), line("two", "33123", "a")]);
    let mut decide =
        |from, proof| word(&two.decide(now, &invite(STRANGER, from, Some(proof)), None));
    assert_eq!(decide("sip:alice@x.test", ("alice", "a")), "accept one");
    assert_eq!(decide("sip:+33999@x.test", ("alice", "a")), "accept one");
    assert_eq!(
        decide("sip:33123@x.test", ("alice", "a")),
        "403 other_identity"
    );
    assert_eq!(
        decide("sip:+33123@x.test", ("alice", "a")),
        "403 other_identity"
    );
    assert_eq!(decide("tel:+33123", ("alice", "a")), "403 other_identity");
    assert_eq!(decide("tel:+33123", ("33123", "a")), "accept two");
}

#[test]
fn pattern_27_the_same_name_in_another_realm_is_somebody_else() {
    let now = Instant::now();
    let mut two = dispatcher(vec![line("one", "bob", "a"), line("two", "bob", "b")]);
    let mut decide = |realm| {
        let invite = invite(STRANGER, "sip:bob@x.test", Some(("bob", realm)));
        word(&two.decide(now, &invite, None))
    };
    assert_eq!(decide("a"), "accept one");
    assert_eq!(decide("b"), "accept two");
    assert_eq!(decide("c"), "404 unknown_number");
}

#[test]
fn pattern_28_an_unknown_source_is_always_challenged() {
    let now = Instant::now();
    let mut one = dispatcher(vec![line("one", "alice", "a")]);
    for from in ["sip:alice@192.0.2.1", "sip:127.0.0.1", "tel:+33123"] {
        assert_eq!(
            word(&one.decide(now, &invite(STRANGER, from, None), None)),
            "challenge"
        );
    }
    let known = invite([192, 0, 2, 9], "sip:anybody@x.test", None);
    assert_eq!(word(&one.decide(now, &known, None)), "accept one");
    let mut without = line("one", "alice", "a");
    without.credentials = None;
    let stranger = invite(STRANGER, "sip:alice@192.0.2.1", None);
    let refused = dispatcher(vec![without]).decide(now, &stranger, None);
    assert_eq!(word(&refused), "403 source_not_allowed");
}

#[test]
fn a_premium_number_is_known_in_every_spelling() {
    let house = dispatcher(vec![line("one", "alice", "a")]);
    let line = &house.lines()[0];
    for (to, premium) in [
        ("+33899123456", true),
        ("0033899123456", true),
        ("sip:+33899123456@trunk.test", true),
        ("sips:0033899123456@trunk.test;user=phone", true),
        ("SIP:+33-899-123-456@trunk.test", true),
        ("sip:%2B33899123456@trunk.test", true),
        ("sip:+33899123456:x@trunk.test", true),
        ("sip:+33899123456;a=b@trunk.test", true),
        ("sip:+33123456789@trunk.test", false),
        ("sip:desk@trunk.test", false),
        ("sip:trunk.test", false),
    ] {
        assert_eq!(crate::calls::placing::is_premium(line, to), premium, "{to}");
    }
}

#[test]
fn the_narrowest_network_says_whose_trunk_it_is() {
    let now = Instant::now();
    let of = |name: &str, allow: &[&str], numbers: &[&str]| LineConfig {
        allow: allow
            .iter()
            .map(|net| net.parse().expect("a net"))
            .collect(),
        numbers: numbers.iter().map(|number| (*number).to_owned()).collect(),
        ..line(name, "alice", "a")
    };
    let mut house = dispatcher(vec![
        of("carrier", &["192.0.2.0/24", "198.51.100.0/24"], &[]),
        of("exchange", &["192.0.2.0/24", "192.0.2.9/32"], &[]),
        of("named", &["192.0.0.0/16"], &["+33123"]),
    ]);
    let mut decide = |source: [u8; 4], called: &str| {
        let request_uri = format!("sip:{called}@allo.test");
        let from = invite(source, "sip:anybody@x.test", None);
        word(&house.decide(
            now,
            &IncomingInvite {
                request_uri,
                ..from
            },
            None,
        ))
    };
    assert_eq!(decide([192, 0, 2, 9], "500"), "accept exchange");
    assert_eq!(decide([192, 0, 2, 8], "500"), "accept carrier", "as listed");
    assert_eq!(decide([198, 51, 100, 9], "500"), "accept carrier");
    assert_eq!(
        decide([192, 0, 2, 9], "0033123"),
        "accept named",
        "a narrow list takes no number of another line"
    );
}

#[test]
fn a_guesser_of_passwords_is_banned_and_a_trunk_never() {
    let now = Instant::now();
    let mut one = dispatcher(vec![line("one", "alice", "a")]);
    let mut guess = invite(STRANGER, "sip:alice@x.test", None);
    guess.proof_rejected = true;
    for _ in 0..9 {
        assert_eq!(word(&one.decide(now, &guess, None)), "challenge");
    }
    assert_eq!(word(&one.decide(now, &guess, None)), "challenge");
    assert_eq!(word(&one.decide(now, &guess, None)), "drop");
    let right = invite(STRANGER, "sip:alice@x.test", Some(("alice", "a")));
    assert_eq!(
        word(&one.decide(now, &right, None)),
        "drop",
        "the right one comes too late"
    );
    let later = now + BANNED_FOR;
    assert_eq!(word(&one.decide(later, &right, None)), "accept one");
    let mut trunk = invite([192, 0, 2, 1], "sip:alice@x.test", None);
    trunk.proof_rejected = true;
    for _ in 0..30 {
        assert_eq!(word(&one.decide(now, &trunk, None)), "accept one");
    }
}

#[test]
fn pattern_33_an_unauthorised_replaces_is_refused() {
    let own = line("own", "phone", "own.test");
    let other = LineConfig {
        allow: vec!["198.51.100.0/24".parse().expect("a network")],
        ..line("other", "other", "other.test")
    };
    let foreign = LineConfig {
        tenant: TenantId::from("foreign"),
        allow: Vec::new(),
        ..line("own", "phone", "own.test")
    };
    let mut dispatcher = dispatcher(vec![own, other, foreign]);
    let leg = Arc::clone(&dispatcher.lines[0]);
    let now = Instant::now();
    let mut may = |source: [u8; 4], proof: Option<(&str, &str)>| {
        let asked = invite(source, "sip:colleague@pbx.test", proof);
        dispatcher.may_replace(now, &leg, (&asked, None))
    };
    let challenge = MayReplace::Challenge {
        realm: "own.test".to_owned(),
    };
    assert_eq!(
        may([192, 0, 2, 9], None),
        MayReplace::Yes,
        "its own exchange"
    );
    assert_eq!(may([198, 51, 100, 9], None), challenge, "another line's");
    assert_eq!(may([203, 0, 113, 9], None), challenge, "a stranger");
    let proven = Some(("phone", "own.test"));
    assert_eq!(may([203, 0, 113, 9], proven), MayReplace::Yes);
    let others = Some(("other", "other.test"));
    assert_eq!(may([203, 0, 113, 9], others), MayReplace::No);
    assert_eq!(
        may([192, 0, 2, 9], others),
        MayReplace::No,
        "who proves to be somebody else is not the line"
    );
    // The same name and password in another house are another line.
    let theirs = Arc::clone(&dispatcher.lines[2]);
    let from_own = invite([192, 0, 2, 9], "sip:colleague@pbx.test", None);
    assert_eq!(
        dispatcher.may_replace(now, &theirs, (&from_own, None)),
        challenge
    );
}

fn rated(name: &str, net: &str, tenant: &str, (line_max, tenant_max): (u32, u32)) -> LineConfig {
    LineConfig {
        tenant: TenantId::from(tenant),
        allow: vec![net.parse().expect("a network")],
        rates: CallRates {
            line_per_s_max: line_max,
            tenant_per_s_max: tenant_max,
        },
        ..line(name, "alice", "a")
    }
}

/// The limit that refuses each of `count` calls that come at once from a network, and how often it did.
fn refusals(house: &mut Dispatcher, now: Instant, host: [u8; 4], count: usize) -> Vec<String> {
    let from = invite(host, "sip:anybody@x.test", None);
    let decided = (0..count).map(|_| word(&house.decide(now, &from, None)));
    decided.filter(|word| !word.starts_with("accept")).collect()
}

#[test]
fn the_rate_of_a_line_takes_nothing_from_others_and_that_of_a_tenant_nothing_from_other_tenants() {
    let now = Instant::now();
    let mut house = dispatcher(vec![
        rated("flooded", "192.0.2.1/32", "one", (3, 5)),
        rated("neighbour", "192.0.2.2/32", "one", (0, 5)),
        rated("other", "192.0.2.3/32", "two", (0, 0)),
    ]);
    assert_eq!(
        refusals(&mut house, now, [192, 0, 2, 1], 20),
        ["503 line_rate"; 17]
    );
    assert_eq!(
        refusals(&mut house, now, [192, 0, 2, 2], 20),
        ["503 tenant_rate"; 18],
        "what the line's rate refused took nothing of the tenant's"
    );
    assert!(refusals(&mut house, now, [192, 0, 2, 3], 50).is_empty());
    // A second later there is room again, for as many as a second has and no more.
    let later = now + std::time::Duration::from_secs(1);
    assert_eq!(
        refusals(&mut house, later, [192, 0, 2, 1], 3),
        Vec::<String>::new()
    );
    assert_eq!(
        refusals(&mut house, later, [192, 0, 2, 2], 3),
        ["503 tenant_rate"]
    );
    let third = later + std::time::Duration::from_millis(334);
    assert_eq!(
        refusals(&mut house, third, [192, 0, 2, 1], 2),
        ["503 line_rate"],
        "a third of a second brings one of three"
    );
}

#[test]
fn a_refusal_names_the_limit_its_value_and_when_to_come_again() {
    let now = Instant::now();
    let mut house = dispatcher(vec![
        LineConfig {
            calls_max: 1,
            ..rated("full", "192.0.2.1/32", "one", (0, 0))
        },
        rated("rated", "192.0.2.2/32", "one", (2, 0)),
    ]);
    let mut last = |host: [u8; 4], count: usize| {
        let from = invite(host, "sip:anybody@x.test", None);
        let mut held: Vec<Decision> = (0..count).map(|_| house.decide(now, &from, None)).collect();
        let Some(Decision::Refuse {
            reason,
            status,
            retry_after_s,
            limit: Some(limit),
            ..
        }) = held.pop()
        else {
            panic!("refused by a limit");
        };
        (reason, status, retry_after_s, limit)
    };
    let (reason, status, retry_after_s, limit) = last([192, 0, 2, 2], 3);
    assert_eq!((reason, status), (EndReason::RateLimited, 503));
    assert_eq!(retry_after_s, Some(1));
    let told = catalog::render(&limit.note(), catalog::Language::En);
    assert!(
        told.text.contains("new calls of this second, 2 (rated)"),
        "{}",
        told.text
    );
    assert!(
        told.remedy
            .expect("where it is set")
            .contains("calls_per_s_max")
    );
    let (reason, status, _, limit) = last([192, 0, 2, 1], 2);
    assert_eq!((reason, status), (EndReason::Concurrency, 486));
    assert_eq!((limit.kind, limit.max), (LimitKind::LineCalls, 1));
}

#[test]
fn a_strained_process_refuses_what_comes_beyond_a_few_calls() {
    let now = Instant::now();
    let mut house = dispatcher(vec![rated("one", "192.0.2.1/32", "one", (0, 0))]);
    house.shedding = Shedding {
        from_calls: 2,
        late_max: std::time::Duration::from_millis(50),
        cpu_percent_max: 85,
    };
    let from = invite([192, 0, 2, 1], "sip:anybody@x.test", None);
    house.load.tell(Some(Strain::Cpu));
    let first: Vec<Decision> = (0..2).map(|_| house.decide(now, &from, None)).collect();
    assert!(
        first
            .iter()
            .all(|decision| matches!(decision, Decision::Accept { .. })),
        "a few calls are always taken"
    );
    let refused = |house: &mut Dispatcher| {
        let Decision::Refuse {
            reason,
            status,
            retry_after_s,
            limit: Some(limit),
            ..
        } = house.decide(now, &from, None)
        else {
            return None;
        };
        Some((reason, status, retry_after_s, limit.kind, limit.max))
    };
    let overload = (EndReason::Overload, 503, Some(house.retry_after_s));
    let by = |(reason, status, after), kind, max| Some((reason, status, after, kind, max));
    assert_eq!(refused(&mut house), by(overload, LimitKind::ProcessCpu, 85));
    house.load.tell(Some(Strain::Late));
    assert_eq!(
        refused(&mut house),
        by(overload, LimitKind::ProcessLate, 50)
    );
    house.load.tell(None);
    assert_eq!(refused(&mut house), None, "there is time again");
}

#[test]
fn a_reload_that_changes_nothing_of_a_rate_keeps_what_was_spent_of_it() {
    let now = Instant::now();
    let mut house = dispatcher(Vec::new());
    let agent = AgentConfig {
        name: "agent".to_owned(),
        instructions: String::new(),
        profile: call::Profile::default(),
        tools: Vec::new(),
        engine: EngineChoice::new(RealtimeConfig::default()),
        fallback: None,
        office: None,
    };
    let load = |house: &mut Dispatcher, lines: Vec<LineConfig>| {
        house.reload(&lines, std::slice::from_ref(&agent), &[], &[]);
    };
    let one = || rated("one", "192.0.2.1/32", "t", (2, 0));
    load(&mut house, vec![one()]);
    assert_eq!(refusals(&mut house, now, [192, 0, 2, 1], 3).len(), 1);
    load(&mut house, vec![one()]);
    assert_eq!(refusals(&mut house, now, [192, 0, 2, 1], 3).len(), 3);
    load(&mut house, vec![rated("one", "192.0.2.1/32", "t", (4, 0))]);
    assert_eq!(refusals(&mut house, now, [192, 0, 2, 1], 5).len(), 1);
    load(&mut house, Vec::new());
    load(&mut house, vec![rated("one", "192.0.2.1/32", "t", (4, 0))]);
    assert_eq!(
        refusals(&mut house, now, [192, 0, 2, 1], 5).len(),
        1,
        "a line that was gone begins anew"
    );
}
