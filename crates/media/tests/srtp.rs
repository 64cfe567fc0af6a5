//! SRTP on whole streams.

use crate::common::{Bench, Network, Pair, address, config, rtp, tone};
use media::tone::purity;
use media::{Codec, ItemKey, SrtpConfig, SrtpSuite, StreamConfig, StreamEvent};

fn keys(suite: SrtpSuite, offset: u8) -> (Vec<u8>, Vec<u8>) {
    let key = |first: u8| {
        (0..suite.key_len())
            .map(|index| first.wrapping_add(u8::try_from(index).expect("a key is short")))
            .collect()
    };
    (key(offset), key(offset + 100))
}

fn secure(suite: SrtpSuite) -> [StreamConfig; 2] {
    let (first, second) = keys(suite, 1);
    let mut a = config(Codec::Pcma, Some(address(2, 5_000)));
    a.srtp = Some(SrtpConfig {
        suite,
        local_key: first.clone(),
        remote_key: second.clone(),
    });
    let mut b = config(Codec::Pcma, Some(address(1, 4_000)));
    b.srtp = Some(SrtpConfig {
        suite,
        local_key: second,
        remote_key: first,
    });
    [a, b]
}

#[test]
fn a_tone_crosses_every_suite_with_loss_and_jitter_and_the_wire_does_not_show_it() {
    for suite in SrtpSuite::ALL {
        let network = Network {
            delay_ms: 20,
            jitter_ms: 20,
            loss_per_mille: 10,
            duplicate_per_mille: 20,
        };
        let mut pair = Pair::new(secure(suite), network, 2);
        pair.start();
        let item = ItemKey::from("item");
        let audio = tone(Codec::Pcma, 440.0, 20_000);
        pair.ends[0].stream.playout().push(&item, &audio).unwrap();
        pair.run_ms(20_000);
        let heard = &pair.ends[1].heard;
        assert!(heard.len() > 155_000);
        let pure = heard
            .chunks(1_600)
            .filter(|part| purity(part, 440.0) > 0.9)
            .count();
        assert!(pure >= 92, "{suite:?}: {pure} of 100");
        let statistics = pair.statistics(1);
        assert_eq!(
            (statistics.srtp_failures, statistics.refused_packets),
            (0, 0)
        );
        assert!(
            statistics.srtp_replays > 10,
            "duplicates are replays here: {statistics:?}"
        );
        assert!(
            pair.statistics(0).round_trip_ms.is_some()
                && pair.statistics(1).round_trip_ms.is_some()
        );
        let wire = &pair.ends[0].sent[100].1;
        let tag = if suite.name().ends_with("32") { 4 } else { 10 };
        assert_eq!(wire.len(), 172 + tag);
        assert!(!audio.windows(16).any(|window| window == &wire[12..28]));
    }
}

#[test]
fn pattern_36_a_million_bad_packets_are_ignored_and_counted_and_the_call_goes_on() {
    let [secured, peer] = secure(SrtpSuite::AesCm128HmacSha1_80);
    let source = address(2, 5_000);
    let mut bench = Bench::with(secured);
    bench.peer = source;
    bench.start();
    let key = peer.srtp.unwrap().local_key;
    let mut context = media::srtp::SrtpContext::new(SrtpSuite::AesCm128HmacSha1_80, &key).unwrap();
    let mut good = |sequence: u16| {
        let mut data = rtp(sequence, u32::from(sequence) * 160, 7, &[0x2A; 160]);
        data[1] = 8;
        data.resize(182, 0);
        context.protect_rtp(&mut data, 172).unwrap();
        data
    };
    bench.receive(&good(0));
    let mut bad = rtp(1, 160, 7, &[0x55; 20]);
    let stranger = address(66, 6_666);
    for index in 0..1_000_000_u32 {
        // Most from the peer's own address with its own source: only the tag tells.
        bad[12..16].copy_from_slice(&index.to_be_bytes());
        bad[3] = index.to_be_bytes()[3] & 0x3F;
        let from = if index % 4 == 0 { stranger } else { source };
        bench.stream.handle_rtp(bench.now, from, &mut bad);
    }
    bench.drain();
    let statistics = bench.statistics();
    assert_eq!(
        statistics.srtp_failures + statistics.srtp_replays + statistics.refused_packets,
        1_000_000
    );
    assert_eq!(statistics.refused_packets, 250_000);
    assert_eq!(statistics.packets_received, 1);
    let reported: Vec<u64> = bench
        .events
        .iter()
        .filter_map(|event| {
            if let StreamEvent::SrtpFailure { count } = event {
                Some(*count)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(reported, [1, 10, 100, 1_000, 10_000, 100_000]);
    bench.receive(&good(1));
    assert_eq!(bench.frames.len(), 2);
    assert_eq!(
        bench
            .sent_to
            .iter()
            .filter(|to| to.ip() != source.ip())
            .count(),
        0
    );
}

#[test]
fn pattern_38_an_ended_call_replayed_into_a_new_one_is_not_heard() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let mut pair = Pair::new(secure(suite), Network::default(), 2);
    pair.start();
    pair.run_ms(2_000);
    let recorded: Vec<Vec<u8>> = pair.ends[0]
        .sent
        .iter()
        .map(|(_, data)| data.clone())
        .collect();
    // Into the same call: every packet is a replay.
    let before = pair.ends[1].heard.len();
    for data in &recorded {
        pair.ends[1]
            .stream
            .handle_rtp(pair.now, address(1, 4_000), &mut data.clone());
    }
    pair.drain(1);
    assert_eq!(pair.ends[1].heard.len(), before);
    assert_eq!(pair.statistics(1).srtp_replays, recorded.len() as u64);
    // Into another call, which has its own key.
    let mut other = config(Codec::Pcma, Some(address(1, 4_000)));
    let (local_key, remote_key) = keys(suite, 50);
    other.srtp = Some(SrtpConfig {
        suite,
        local_key,
        remote_key,
    });
    let mut bench = Bench::with(other);
    for data in &recorded {
        bench.receive_from(address(1, 4_000), data);
    }
    assert!(bench.frames.is_empty());
    assert_eq!(bench.statistics().srtp_failures, recorded.len() as u64);
}

#[test]
fn an_unusable_key_sends_nothing_in_the_clear() {
    let [mut secured, _] = secure(SrtpSuite::AesCm128HmacSha1_80);
    secured.srtp.as_mut().unwrap().local_key.pop();
    let mut bench = Bench::with(secured);
    bench.start();
    bench.go(10_000);
    assert!(bench.sent.is_empty() && bench.reports.is_empty());
    assert_eq!(bench.stream.playout().clear(), []);
}

#[test]
fn a_re_negotiation_with_the_same_keys_goes_on_and_with_new_keys_starts_anew() {
    let mut pair = Pair::new(
        secure(SrtpSuite::AesCm128HmacSha1_80),
        Network::default(),
        2,
    );
    pair.start();
    pair.run_ms(1_000);
    let [a, b] = secure(SrtpSuite::AesCm128HmacSha1_80);
    pair.ends[0].stream.reconfigure(pair.now, a.clone());
    pair.ends[1].stream.reconfigure(pair.now, b.clone());
    pair.run_ms(1_000);
    let (first, second) = keys(SrtpSuite::AesCm128HmacSha1_32, 77);
    let suite = SrtpSuite::AesCm128HmacSha1_32;
    let with = |mut config: StreamConfig, local: &[u8], remote: &[u8]| {
        config.srtp = Some(SrtpConfig {
            suite,
            local_key: local.to_vec(),
            remote_key: remote.to_vec(),
        });
        config
    };
    pair.ends[0]
        .stream
        .reconfigure(pair.now, with(a, &first, &second));
    pair.ends[1]
        .stream
        .reconfigure(pair.now, with(b, &second, &first));
    pair.run_ms(1_000);
    for index in 0..2 {
        let statistics = pair.statistics(index);
        assert!(
            statistics.srtp_failures <= 1 && statistics.packets_received >= 148,
            "{statistics:?}"
        );
    }
}

#[test]
fn keys_that_are_awaited_keep_the_greeting_and_let_nothing_in() {
    let secured = secure(SrtpSuite::AesCm128HmacSha1_80);
    let awaited = secured.clone().map(|mut config| {
        config.srtp = Some(SrtpConfig::awaited());
        config
    });
    let mut pair = Pair::new(awaited, Network::default(), 4);
    pair.start();
    let greeting: ItemKey = "greeting".into();
    let audio = tone(Codec::Pcma, 440.0, 1_000);
    let playout = pair.ends[0].stream.playout();
    playout.push(&greeting, &audio).unwrap();
    playout.finish(&greeting);
    // A handshake of three seconds.
    pair.run_ms(3_000);
    for index in 0..2 {
        let statistics = pair.statistics(index);
        assert_eq!(
            (statistics.packets_sent, statistics.packets_received),
            (0, 0)
        );
    }
    let plain = rtp(1, 0, 7, &audio[..160]);
    let (now, source) = (pair.now, address(2, 5_000));
    pair.ends[0]
        .stream
        .handle_rtp(now, source, &mut plain.clone());
    assert!(
        pair.ends[0].stream.poll_frame().is_none(),
        "audio in clear was believed"
    );
    let [a, b] = secured;
    pair.ends[0].stream.reconfigure(now, a);
    pair.ends[1].stream.reconfigure(now, b);
    pair.run_ms(2_000);
    let played = |events: &[StreamEvent]| {
        events.iter().any(|event| matches!(event, StreamEvent::Playout(media::PlayoutEvent::Finished { item, played_ms: 1_000 }) if *item == greeting))
    };
    assert!(played(&pair.ends[0].events), "{:?}", pair.ends[0].events);
    assert_eq!(pair.statistics(1).srtp_failures, 0);
    assert_eq!(pair.statistics(1).packets_received, 100);
}

#[test]
fn reports_on_a_port_of_their_own_have_keys_of_their_own() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let (first, second) = keys(suite, 60);
    let set = |pair: &mut Pair, keys: [&SrtpConfig; 2]| {
        for (end, keys) in pair.ends.iter_mut().zip(keys) {
            end.stream.set_report_keys(Some(keys));
        }
    };
    let one = SrtpConfig {
        suite,
        local_key: first.clone(),
        remote_key: second.clone(),
    };
    let other = SrtpConfig {
        suite,
        local_key: second,
        remote_key: first,
    };
    let mut pair = Pair::new(secure(suite), Network::default(), 2);
    set(&mut pair, [&one, &other]);
    pair.start();
    pair.run_ms(30_000);
    for index in 0..2 {
        let statistics = pair.statistics(index);
        assert!(statistics.round_trip_ms.is_some(), "{statistics:?}");
        assert_eq!(statistics.srtp_failures, 0);
    }
    // Neither side's keys open what the other's packets are sealed with.
    let mut pair = Pair::new(secure(suite), Network::default(), 2);
    pair.ends[0].stream.set_report_keys(Some(&one));
    pair.start();
    pair.run_ms(30_000);
    let statistics = pair.statistics(1);
    assert!(statistics.round_trip_ms.is_none() && statistics.srtp_failures > 2);
    assert!(
        statistics.packets_received > 1_400,
        "audio is not concerned"
    );
}
