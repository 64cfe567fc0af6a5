//! What is dialled to come into a running call: by devices alone, each for its own account, and into one that is not parked by those
//! that the account trusts with it.

use super::*;

/// Lines of devices, each of an account of its own, and a trunk.
fn devices() -> Dispatcher {
    let mut lines: Vec<LineConfig> = ["one", "two"]
        .iter()
        .map(|name| LineConfig {
            tenant: TenantId::from(*name),
            allow: Vec::new(),
            ..line(name, name, "allo.test")
        })
        .collect();
    lines.push(line("trunk", "trunk", "trunk.test"));
    let mut dispatcher = dispatcher(lines);
    for (number, line) in (1..).zip(dispatcher.lines.iter_mut().take(2)) {
        let line = Arc::get_mut(line).expect("nobody else has it");
        line.device = Some(DeviceId(number));
        line.config.device = Some(DeviceLine {
            sip: sip::DeviceConfig::new("allo.test", &line.config.name, "password"),
            caller_id: None,
            joins_calls: number == 1,
        });
    }
    dispatcher
}

fn dials(dispatcher: &mut Dispatcher, user: &str, realm: &str, number: &str) -> String {
    let from = format!("sip:{user}@allo.test");
    let invite = IncomingInvite {
        request_uri: format!("sip:{number}@allo.test"),
        ..invite([192, 0, 2, 7], &from, Some((user, realm)))
    };
    word(&dispatcher.decide(Instant::now(), &invite, None))
}

#[test]
fn a_device_that_dials_a_place_takes_the_caller_of_its_own_account() {
    let mut dispatcher = devices();
    for (number, meant) in [("*85", "any"), ("*857", "7"), ("%2A8512", "12")] {
        for device in ["one", "two"] {
            let decided = dials(&mut dispatcher, device, "allo.test", number);
            assert_eq!(decided, format!("retrieve {device} {meant}"));
        }
    }
    assert_eq!(
        dials(&mut dispatcher, "one", "allo.test", "*84"),
        "accept one"
    );
    assert_eq!(
        dials(&mut dispatcher, "one", "allo.test", "+33140506070"),
        "accept one"
    );
    // What has the password of a trunk is no telephone of the house.
    assert_eq!(
        dials(&mut dispatcher, "trunk", "trunk.test", "*85"),
        "accept trunk"
    );
    // Without a proof nobody takes anybody.
    let stranger = IncomingInvite {
        request_uri: "sip:*85@allo.test".to_owned(),
        device: Some(DeviceId(1)),
        ..invite(STRANGER, "sip:one@allo.test", None)
    };
    let decided = dispatcher.decide(Instant::now(), &stranger, None);
    assert_eq!(word(&decided), "challenge");
}

#[test]
fn a_process_that_goes_down_and_a_full_line_retrieve_nobody() {
    let mut dispatcher = devices();
    dispatcher.set_gate("agent", Gate::Closed);
    // Its own agent has nothing to do with it.
    assert_eq!(
        dials(&mut dispatcher, "one", "allo.test", "*851"),
        "retrieve one 1"
    );
    dispatcher.draining.set(true);
    assert_eq!(
        dials(&mut dispatcher, "one", "allo.test", "*851"),
        "503 draining"
    );
}

#[test]
fn only_a_trusted_device_comes_into_a_call_that_is_not_parked() {
    let mut dispatcher = devices();
    for (number, action, digits) in [
        ("*86", "join", ""),
        ("*8742", "take_over", "42"),
        ("%2A880607", "listen", "0607"),
    ] {
        let decided = dials(&mut dispatcher, "one", "allo.test", number);
        assert_eq!(decided, format!("{action} one {digits}"));
        let decided = dials(&mut dispatcher, "two", "allo.test", number);
        assert_eq!(decided, "403 may_not_join");
        // What has the password of a trunk is no telephone of the house.
        let decided = dials(&mut dispatcher, "trunk", "trunk.test", number);
        assert_eq!(decided, "accept trunk");
    }
    dispatcher.draining.set(true);
    let decided = dials(&mut dispatcher, "one", "allo.test", "*88");
    assert_eq!(decided, "503 draining");
}
