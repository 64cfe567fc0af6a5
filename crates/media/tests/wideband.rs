//! G.722 and Opus through streams: what is above 4 kHz arrives, losses are made up, clocks are those of RFC 3551 and RFC 7587.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::{Bench, OPUS, config, samples, snr_db, tone};
use media::resample::Rate;
use media::tone::{goertzel_at, purity_at};
use media::{Codec, ItemKey, OpusTerms, StreamConfig, StreamEvent};

const WIDE: [Codec; 2] = [Codec::G722, Codec::Opus];

fn of(codec: Codec) -> StreamConfig {
    config(codec, Some(crate::common::address(9, 6_000)))
}

/// The packets in which a stream of ours sends this audio.
fn packets(config: StreamConfig, audio: &[u8]) -> Vec<Vec<u8>> {
    let mut bench = Bench::with(config);
    bench.start();
    let item = ItemKey::from("item");
    bench.stream.playout().push(&item, audio).unwrap();
    bench.stream.playout().finish(&item);
    bench.go(1_700);
    bench.sent.into_iter().map(|(_, data)| data).collect()
}

/// What a stream hears of packets that come every 20 ms; `None` is lost.
fn heard<'a>(config: StreamConfig, packets: impl Iterator<Item = Option<&'a Vec<u8>>>) -> Bench {
    let mut bench = Bench::with(config);
    bench.stream.set_recording(true);
    bench.start();
    for (index, data) in (0..).zip(packets) {
        bench.go(index * 20);
        if let Some(data) = data {
            bench.receive(data);
        }
    }
    let end = bench.now + crate::common::ms(100);
    bench.go_until(end);
    bench
}

fn sound(bench: &Bench, codec: Codec) -> Vec<i16> {
    let frames = bench.frames.iter();
    frames
        .flat_map(|frame| samples(codec, &frame.audio))
        .collect()
}

/// A voice of sorts: harmonics of a pitch that moves, with syllables.
fn voice(ms: usize) -> Vec<u8> {
    let mut phase = 0.0_f32;
    let mut audio = Vec::new();
    for index in 0..ms * 16 {
        #[expect(clippy::cast_precision_loss, reason = "a few seconds of samples")]
        let seconds = index as f32 / 16_000.0;
        let pitch = 120.0 + 30.0 * (seconds * 9.0).sin();
        phase += pitch / 16_000.0;
        let harmonics: f32 = (1..24_u8)
            .map(|n| (phase * std::f32::consts::TAU * f32::from(n)).sin() / f32::from(n))
            .sum();
        let syllable = (seconds * 4.0 * std::f32::consts::TAU).sin().max(0.0);
        #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
        let sample = (harmonics * syllable * 6_000.0) as i16;
        audio.extend(sample.to_le_bytes());
    }
    audio
}

#[test]
fn timestamps_count_at_the_clock_of_the_codec() {
    for (codec, step) in [(Codec::Pcmu, 160), (Codec::G722, 160), (Codec::Opus, 960)] {
        let sent = packets(of(codec), &tone(codec, 1_000.0, 1_500));
        let time = |data: &[u8]| u32::from_be_bytes(data[4..8].try_into().unwrap());
        for pair in sent.windows(2) {
            assert_eq!(
                time(&pair[1]).wrapping_sub(time(&pair[0])),
                step,
                "{codec:?}"
            );
        }
        let expected = codec.static_payload_type().unwrap_or(OPUS);
        assert!(sent.iter().all(|data| data[1] & 0x7F == expected));
    }
}

#[test]
fn what_is_above_4_khz_arrives_and_is_recorded() {
    for codec in WIDE {
        for hertz in [1_000.0, 5_500.0] {
            let sent = packets(of(codec), &tone(codec, hertz, 1_500));
            let bench = heard(of(codec), sent.iter().map(Some));
            let recorded: Vec<i16> = bench
                .recording
                .iter()
                .flat_map(|frame| frame.caller.to_vec())
                .collect();
            assert_eq!(bench.stream.recording_rate(), Rate::Hz16000);
            for (samples, from) in [(sound(&bench, codec), 4_800), (recorded, 6_400)] {
                let part = &samples[from..from + 16_000];
                let found = goertzel_at(Rate::Hz16000, part, hertz);
                assert!(
                    (found - 8_000.0).abs() < 1_600.0,
                    "{codec:?} {hertz}: {found}"
                );
                let purity = purity_at(Rate::Hz16000, part, hertz);
                assert!(purity > 0.9, "{codec:?} {hertz}: {purity}");
            }
            let steady = bench.frames.iter().skip(20).take(30);
            for frame in steady {
                assert_eq!((frame.audio.len(), frame.concealed), (640, false));
                assert!((13..=17).contains(&frame.level), "{}", frame.level);
            }
        }
    }
}

#[test]
fn a_lost_packet_is_made_up_by_the_codec_and_better_with_its_copy() {
    for (codec, fec) in [
        (Codec::G722, false),
        (Codec::Opus, false),
        (Codec::Opus, true),
    ] {
        let mut config = of(codec);
        config.opus = OpusTerms {
            fec,
            ..OpusTerms::default()
        };
        let sent = packets(config.clone(), &voice(1_500));
        let whole = sound(&heard(config.clone(), sent.iter().map(Some)), codec);
        let is_lost = |index: usize| index % 10 == 4;
        let lossy = || {
            let each = sent.iter().enumerate();
            each.map(|(index, data)| Some(data).filter(|_| !is_lost(index)))
        };
        let bench = heard(config.clone(), lossy());
        let with = sound(&bench, codec);
        assert!(with.len().abs_diff(whole.len()) <= 640, "time went on");
        let statistics = bench.stream.statistics(bench.now);
        assert!(statistics.concealed_ms >= 140, "{statistics:?}");
        let gaps = |samples: &[i16]| {
            let frames = samples.chunks(320).enumerate();
            let lost: Vec<i16> = frames
                .filter(|(index, _)| is_lost(*index))
                .flat_map(|(_, frame)| frame.to_vec())
                .take(2_240)
                .collect();
            lost
        };
        let ratio = snr_db(&gaps(&whole), &gaps(&with));
        // Silence would be 0 dB.
        let least = if fec { 6.0 } else { 1.0 };
        assert!(ratio > least, "{codec:?} fec {fec}: {ratio:.1} dB");
    }
}

#[test]
fn silence_is_not_sent_where_the_peer_asks_for_that_and_time_goes_on_for_it() {
    let mut asked = of(Codec::Opus);
    asked.opus.dtx = true;
    let sent = packets(asked, &tone(Codec::Opus, 500.0, 300));
    assert!(sent.len() < 60, "{} packets", sent.len());
    // Gaps in the numbers there are none: nothing was lost.
    let number = |data: &[u8]| u16::from_be_bytes(data[2..4].try_into().unwrap());
    for pair in sent.windows(2) {
        assert_eq!(number(&pair[1]).wrapping_sub(number(&pair[0])), 1);
    }
    let time = |data: &[u8]| u32::from_be_bytes(data[4..8].try_into().unwrap());
    let span = time(sent.last().unwrap()).wrapping_sub(time(&sent[0]));
    assert!(span > 48_000, "media time went on: {span}");
}

#[test]
fn digits_beside_opus_count_in_either_clock() {
    for clock_hz in [8_000, 48_000] {
        let mut with = of(Codec::Opus);
        with.event_clock_hz = clock_hz;
        let mut bench = Bench::with(with.clone());
        bench.start();
        bench.stream.send_dtmf("5#", 120).unwrap();
        bench.go(600);
        let ends: Vec<u16> = bench
            .sent
            .iter()
            .filter(|(_, data)| data[1] & 0x7F == 101 && data[13] & 0x80 != 0)
            .map(|(_, data)| u16::from_be_bytes(data[14..16].try_into().unwrap()))
            .collect();
        let expected = u16::try_from(120 * clock_hz / 1_000).unwrap();
        assert_eq!(ends, [expected; 6]);
        let received = heard(with, bench.sent.iter().map(|(_, data)| Some(data)));
        let digits: Vec<(char, u32)> = received
            .events
            .iter()
            .filter_map(|event| {
                if let StreamEvent::Dtmf { digit, duration_ms } = event {
                    Some((*digit, *duration_ms))
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(digits, [('5', 120), ('#', 120)], "{clock_hz}");
    }
}

#[test]
fn a_re_negotiation_to_another_rate_keeps_what_waits_and_the_recording() {
    let mut bench = Bench::with(of(Codec::Pcmu));
    bench.stream.set_recording(true);
    bench.start();
    let item = ItemKey::from("item");
    let audio = tone(Codec::Pcmu, 1_000.0, 2_000);
    bench.stream.playout().push(&item, &audio).unwrap();
    bench.stream.playout().finish(&item);
    bench.go(980);
    let now = bench.now;
    let waiting = bench.stream.playout().queued_ms();
    bench.stream.reconfigure(now, of(Codec::G722));
    assert_eq!(bench.stream.playout().queued_ms(), waiting);
    assert_eq!(bench.stream.recording_rate(), Rate::Hz8000);
    bench.go(2_400);
    let kinds: Vec<u8> = bench.sent.iter().map(|(_, data)| data[1] & 0x7F).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), (0, 9));
    let finished = bench.events.iter().any(|event| {
        matches!(event, StreamEvent::Playout(media::PlayoutEvent::Finished { played_ms, .. }) if *played_ms == 2_000)
    });
    assert!(finished, "{:?}", bench.events);
    let agent: Vec<i16> = bench
        .recording
        .iter()
        .flat_map(|frame| frame.agent.to_vec())
        .collect();
    for part in [&agent[1_600..7_200], &agent[9_600..15_200]] {
        assert!(purity_at(Rate::Hz8000, part, 1_000.0) > 0.99);
    }
}

#[test]
fn damaged_opus_is_made_up_and_hostile_packets_end_nothing() {
    let sent = packets(of(Codec::Opus), &voice(1_500));
    let mut state = 9_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let damaged: Vec<Vec<u8>> = sent
        .iter()
        .map(|data| {
            let mut data = data.clone();
            for byte in &mut data[12..] {
                if random() < 40 {
                    *byte ^= random();
                }
            }
            let cut = usize::from(random()) % data.len();
            data.truncate(cut.max(12));
            data
        })
        .collect();
    let bench = heard(of(Codec::Opus), damaged.iter().map(Some));
    assert!(bench.frames.iter().all(|frame| frame.audio.len() == 640));
}
