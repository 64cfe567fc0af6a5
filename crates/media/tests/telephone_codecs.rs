//! G.729 and AMR-WB through streams: what is said arrives at its level, losses are made up, silence that is only described is heard as noise, and
//! packets are those of RFC 3551 and RFC 4867. Packets of AMR-WB are judged and made by the packing of the crate that codes it, which is not ours.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::{Bench, OPUS as DYNAMIC, config, rtp_of, samples, tone};
use codec_core::codecs::amr::wb::enc::encoder::{Rate as Mode, WbEncoder};
use codec_core::codecs::amr::{
    AmrFrameType, AmrMode, AmrPacket, AmrPayloadCodec, AmrPayloadConfig, AmrPayloadFrame,
    AmrVariant,
};
use media::tone::{goertzel_at, purity_at};
use media::{AmrTerms, Codec, ItemKey, StreamConfig, StreamEvent};

const BOTH: [Codec; 2] = [Codec::G729, Codec::AmrWb];

fn of(codec: Codec) -> StreamConfig {
    config(codec, Some(crate::common::address(9, 6_000)))
}

/// The packets in which a stream of ours sends this audio.
fn packets(config: StreamConfig, audio: &[u8]) -> Vec<Vec<u8>> {
    let mut bench = Bench::with(config);
    bench.start();
    say(&mut bench, audio);
    bench.go(1_700);
    bench.sent.into_iter().map(|(_, data)| data).collect()
}

fn say(bench: &mut Bench, audio: &[u8]) {
    let item = ItemKey::from("item");
    bench.stream.playout().push(&item, audio).unwrap();
    bench.stream.playout().finish(&item);
}

/// What a stream hears of packets that come every 20 ms; `None` is lost.
fn heard<'a>(config: StreamConfig, packets: impl Iterator<Item = Option<&'a Vec<u8>>>) -> Bench {
    let mut bench = Bench::with(config);
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

/// A voice of sorts at the rate of the codec: harmonics of a pitch that moves, with syllables.
fn voice(codec: Codec, ms: usize) -> Vec<i16> {
    let per_ms = codec.form().frame_samples() / 20;
    let mut phase = 0.0_f32;
    let sample = |index: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a few seconds of samples")]
        let seconds = index as f32 / (per_ms as f32 * 1_000.0);
        let pitch = 120.0 + 30.0 * (seconds * 9.0).sin();
        #[expect(clippy::cast_precision_loss, reason = "8 or 16")]
        let step = pitch / (per_ms as f32 * 1_000.0);
        phase += step;
        let harmonics: f32 = (1..24_u8)
            .map(|n| (phase * std::f32::consts::TAU * f32::from(n)).sin() / f32::from(n))
            .sum();
        let syllable = (seconds * 4.0 * std::f32::consts::TAU).sin().max(0.0);
        #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
        let sample = (harmonics * syllable * 6_000.0) as i16;
        sample
    };
    (0..ms * per_ms).map(sample).collect()
}

fn carried(codec: Codec, samples: &[i16]) -> Vec<u8> {
    let mut audio = Vec::new();
    codec.form().append(samples, &mut audio);
    audio
}

/// A packet of these codecs as a peer sends it.
fn packet(codec: Codec, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let payload_type = codec.static_payload_type().unwrap_or(DYNAMIC);
    rtp_of(payload_type, false, sequence, timestamp, 7, payload)
}

fn rms(samples: &[i16]) -> f64 {
    let energy: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "thousands of samples")]
    let count = samples.len() as f64;
    (energy / count).sqrt()
}

fn octets() -> StreamConfig {
    let mut config = of(Codec::AmrWb);
    config.amr = AmrTerms {
        octet_aligned: true,
        ..AmrTerms::default()
    };
    config
}

fn judge(octet_aligned: bool) -> AmrPayloadCodec {
    let config = if octet_aligned {
        AmrPayloadConfig::octet_aligned(AmrVariant::WideBand)
    } else {
        AmrPayloadConfig::bandwidth_efficient(AmrVariant::WideBand)
    };
    AmrPayloadCodec::new(config).unwrap()
}

fn mode(index: u8) -> AmrMode {
    AmrMode::new(AmrVariant::WideBand, index).unwrap()
}

/// Frames that a peer's encoder makes of a tone, at one rate.
fn coded(hertz: f32, ms: usize, index: u8) -> Vec<AmrPayloadFrame> {
    let samples = samples(Codec::AmrWb, &tone(Codec::AmrWb, hertz, ms));
    let mut encoder = WbEncoder::new();
    let frames = samples.as_chunks::<320>().0.iter();
    frames
        .map(|frame| {
            let data = encoder.encode_frame(frame, Mode::from_index(index).unwrap());
            AmrPayloadFrame::new(AmrFrameType::Speech(mode(index)), true, data).unwrap()
        })
        .collect()
}

#[test]
fn packets_have_the_clock_and_the_size_of_their_codec() {
    for (config, step, size) in [
        (of(Codec::G729), 160, 20),
        (of(Codec::AmrWb), 320, 33),
        (octets(), 320, 34),
    ] {
        let codec = config.codec;
        let sent = packets(config, &tone(codec, 1_000.0, 1_500));
        let time = |data: &[u8]| u32::from_be_bytes(data[4..8].try_into().unwrap());
        for pair in sent.windows(2) {
            let passed = time(&pair[1]).wrapping_sub(time(&pair[0]));
            assert_eq!(passed, step, "{codec:?}");
        }
        let expected = codec.static_payload_type().unwrap_or(DYNAMIC);
        for data in &sent {
            assert_eq!((data[1] & 0x7F, data.len()), (expected, 12 + size));
        }
    }
    let mut longer = of(Codec::G729);
    longer.ptime_ms = 60;
    let sent = packets(longer, &tone(Codec::G729, 1_000.0, 1_500));
    assert!(sent.iter().all(|data| data.len() == 12 + 60));
}

#[test]
fn a_tone_arrives_with_its_frequency_and_level() {
    for (codec, hertz) in [
        (Codec::G729, 440.0),
        (Codec::AmrWb, 440.0),
        (Codec::AmrWb, 2_000.0),
    ] {
        let sent = packets(of(codec), &tone(codec, hertz, 1_500));
        let bench = heard(of(codec), sent.iter().map(Some));
        let rate = codec.form().rate();
        let second = codec.form().frame_samples() * 50;
        let part = &sound(&bench, codec)[second * 2 / 5..][..second];
        let found = goertzel_at(rate, part, hertz);
        assert!((6_000.0..10_000.0).contains(&found), "{codec:?}: {found}");
        let purity = purity_at(rate, part, hertz);
        assert!(purity > 0.9, "{codec:?} {hertz}: {purity}");
        for frame in bench.frames.iter().skip(20).take(30) {
            let bytes = codec.form().frame_bytes();
            assert_eq!((frame.audio.len(), frame.concealed), (bytes, false));
        }
    }
}

/// How alike the loudness of two sounds goes, frame by frame: 1 for the same.
fn likeness(a: &[i16], b: &[i16], frame: usize) -> f64 {
    let loudness = |samples: &[i16]| samples.chunks_exact(frame).map(rms).collect::<Vec<_>>();
    let (a, b) = (loudness(a), loudness(b));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

#[test]
fn a_voice_keeps_its_shape_and_its_level() {
    for codec in BOTH {
        let said = voice(codec, 1_500);
        let sent = packets(of(codec), &carried(codec, &said));
        let with = sound(&heard(of(codec), sent.iter().map(Some)), codec);
        let (second, frame) = (
            codec.form().frame_samples() * 50,
            codec.form().frame_samples(),
        );
        // The codec's own delay, found as whoever measures it does.
        let best = (0..frame * 2)
            .step_by(8)
            .map(|delay| {
                (
                    likeness(&said[..second], &with[delay..][..second], frame),
                    delay,
                )
            })
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let (found, delay) = best.unwrap();
        assert!(found > 0.97, "{codec:?}: {found:.3} at {delay}");
        let level = rms(&with[delay..][..second]) / rms(&said[..second]);
        assert!((0.8..1.25).contains(&level), "{codec:?}: {level}");
    }
}

#[test]
fn a_lost_packet_is_made_up_by_the_decoder() {
    for codec in BOTH {
        let audio = tone(codec, 300.0, 1_500);
        let sent = packets(of(codec), &audio);
        let is_lost = |index: usize| index % 10 == 4;
        let each = sent.iter().enumerate();
        let lossy = each.map(|(index, data)| Some(data).filter(|_| !is_lost(index)));
        let bench = heard(of(codec), lossy);
        let statistics = bench.stream.statistics(bench.now);
        assert!(statistics.concealed_ms >= 140, "{statistics:?}");
        assert!(bench.frames.len().abs_diff(sent.len()) <= 1, "time went on");
        let made = bench.frames.iter().filter(|frame| frame.concealed);
        for frame in made.take(5) {
            // Silence would have the level 127, and the tone has 15.
            assert!(frame.level < 30, "{codec:?}: {}", frame.level);
        }
    }
}

#[test]
fn what_is_lost_for_long_fades() {
    for codec in BOTH {
        let sent = packets(of(codec), &tone(codec, 300.0, 1_500));
        let each = sent.iter().enumerate();
        let lossy = each.map(|(index, data)| Some(data).filter(|_| !(30..50).contains(&index)));
        let bench = heard(of(codec), lossy);
        let level = |index: usize| bench.frames[index].level;
        assert!(level(46) > level(20) + 10, "{codec:?}: {}", level(46));
        assert!(
            level(60) < 25,
            "{codec:?}: it is heard again: {}",
            level(60)
        );
    }
}

#[test]
fn silence_that_g729_describes_is_heard_as_noise() {
    // Steady noise between two tones, coded with Annex B by the crate's encoder.
    let mut noise = 1_u32;
    let mut hiss = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i16::try_from(noise >> 24).unwrap() - 128
    };
    let mut said = samples(Codec::G729, &tone(Codec::G729, 440.0, 500));
    said.extend((0..16_000).map(|_| hiss()));
    said.extend(samples(Codec::G729, &tone(Codec::G729, 440.0, 500)));
    let mut encoder = g729_sys::Encoder::new(true);
    let mut bench = Bench::with(of(Codec::G729));
    bench.start();
    let (mut sequence, mut described, mut unsent) = (0, 0, 0);
    for (index, frame) in (0_u32..).zip(said.as_chunks::<80>().0) {
        bench.go(u64::from(index) * 10);
        let mut bytes = [0; 10];
        let len = usize::from(encoder.encode_into(frame, &mut bytes));
        described += usize::from(len == 2);
        unsent += usize::from(len == 0);
        if len > 0 {
            bench.receive(&packet(Codec::G729, sequence, index * 80, &bytes[..len]));
            sequence += 1;
        }
    }
    let end = bench.now + crate::common::ms(200);
    bench.go_until(end);
    assert!(described > 0 && unsent > 100, "{described} {unsent}");
    let statistics = bench.stream.statistics(bench.now);
    assert_eq!((statistics.concealed_ms, statistics.packets_lost), (0, 0));
    let sound = sound(&bench, Codec::G729);
    let (rest, expected) = (rms(&sound[8_000..18_000]), rms(&said[8_000..18_000]));
    assert!(
        rest > expected / 3.0 && rest < expected * 3.0,
        "{rest} for {expected}"
    );
    let purity = purity_at(media::resample::Rate::Hz8000, &sound[1_600..3_600], 440.0);
    assert!(purity > 0.9, "{purity}");
    // Time did not stop: both tones and all that lies between.
    let after = &sound[21_000..23_000];
    assert!(purity_at(media::resample::Rate::Hz8000, after, 440.0) > 0.9);
}

#[test]
fn several_frames_a_packet_and_a_description_at_its_end_are_taken() {
    let mut encoder = g729_sys::Encoder::new(false);
    let said = samples(Codec::G729, &tone(Codec::G729, 440.0, 1_200));
    let mut bench = Bench::with(of(Codec::G729));
    bench.start();
    for (index, part) in (0_u16..).zip(said.chunks_exact(80 * 6)) {
        bench.go(u64::from(index) * 60);
        let mut payload = Vec::new();
        for frame in part.as_chunks::<80>().0 {
            let mut bytes = [0; 10];
            encoder.encode_into(frame, &mut bytes);
            payload.extend(bytes);
        }
        if index == 19 {
            payload.extend([0x12, 0x34]);
        }
        let timestamp = u32::from(index) * 480;
        bench.receive(&packet(Codec::G729, index, timestamp, &payload));
    }
    let end = bench.now + crate::common::ms(40);
    bench.go_until(end);
    let sound = sound(&bench, Codec::G729);
    assert!(sound.len() >= 9_600, "{}", sound.len());
    assert!(purity_at(media::resample::Rate::Hz8000, &sound[1_600..9_000], 440.0) > 0.9);
}

#[test]
fn packets_of_amr_are_what_others_read() {
    for octet_aligned in [false, true] {
        let config = if octet_aligned {
            octets()
        } else {
            of(Codec::AmrWb)
        };
        for ptime_ms in [20, 60] {
            let mut config = config.clone();
            config.ptime_ms = ptime_ms;
            let sent = packets(config, &tone(Codec::AmrWb, 500.0, 1_500));
            for data in &sent {
                let read = judge(octet_aligned).unpack(&data[12..]).unwrap();
                assert_eq!(read.cmr, None, "we ask for no rate");
                assert_eq!(read.frames.len(), usize::try_from(ptime_ms / 20).unwrap());
                for frame in read.frames {
                    assert!(frame.quality_ok);
                    assert_eq!(frame.frame_type, AmrFrameType::Speech(mode(2)));
                }
            }
        }
    }
}

#[test]
fn every_rate_of_a_peer_is_heard_in_either_layout() {
    for octet_aligned in [false, true] {
        for index in 0..9 {
            let config = if octet_aligned {
                octets()
            } else {
                of(Codec::AmrWb)
            };
            let mut bench = Bench::with(config);
            bench.start();
            // Two frames a packet.
            for (number, pair) in (0_u16..).zip(coded(700.0, 800, index).chunks(2)) {
                bench.go(u64::from(number) * 40);
                let packet_of = AmrPacket {
                    cmr: None,
                    interleaving: None,
                    frames: pair.to_vec(),
                };
                let payload = judge(octet_aligned).pack(&packet_of).unwrap();
                let timestamp = u32::from(number) * 640;
                bench.receive(&packet(Codec::AmrWb, number, timestamp, &payload));
            }
            let sound = sound(&bench, Codec::AmrWb);
            let purity = purity_at(media::resample::Rate::Hz16000, &sound[3_200..9_600], 700.0);
            assert!(purity > 0.85, "mode {index}: {purity}");
        }
    }
}

#[test]
fn the_rate_that_a_peer_asks_for_is_sent_if_it_was_agreed() {
    for (modes, asked, expected) in [(0x1FF, 8, 8), (0x1FF, 0, 0), (0b111, 8, 2), (0x1FF, 12, 2)] {
        let mut config = octets();
        config.amr.modes = modes;
        let mut bench = Bench::with(config);
        bench.start();
        say(&mut bench, &tone(Codec::AmrWb, 500.0, 1_500));
        bench.go(400);
        let frame = coded(500.0, 20, 2).remove(0);
        let mut payload = judge(true).pack(&AmrPacket::single(frame)).unwrap();
        payload[0] = asked << 4;
        bench.receive(&packet(Codec::AmrWb, 1, 320, &payload));
        bench.go(1_000);
        let rate = |data: &[u8]| {
            let read = judge(true).unpack(&data[12..]).unwrap();
            read.frames[0].frame_type
        };
        assert_eq!(rate(&bench.sent[5].1), AmrFrameType::Speech(mode(2)));
        let last = &bench.sent.last().unwrap().1;
        assert_eq!(rate(last), AmrFrameType::Speech(mode(expected)));
    }
}

#[test]
fn silence_that_amr_describes_is_heard_as_noise_and_damage_is_made_up() {
    let mut bench = Bench::with(octets());
    bench.start();
    let mut noise = 1_u32;
    let mut hiss = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i16::try_from(noise >> 24).unwrap() - 128
    };
    let mut said = samples(Codec::AmrWb, &tone(Codec::AmrWb, 440.0, 500));
    said.extend((0..32_000).map(|_| hiss()));
    said.extend(samples(Codec::AmrWb, &tone(Codec::AmrWb, 440.0, 500)));
    let mut encoder = WbEncoder::new();
    encoder.set_allow_dtx(true);
    let (mut sequence, mut described) = (0_u16, 0_u32);
    for (index, frame) in (0_u32..).zip(said.as_chunks::<320>().0) {
        bench.go(u64::from(index) * 20);
        let (is_noise, mut data) = encoder.encode_frame_typed(frame, Mode::from_index(2).unwrap());
        let mut payload = vec![0xF0, 0b0001_0100];
        if is_noise {
            // The first says nothing, each eighth an update; in between nothing is sent.
            described += 1;
            if described % 8 != 1 {
                continue;
            }
            let is_update = described > 1;
            codec_core::codecs::amr::wb::bitstream::finish_sid_payload(&mut data, is_update, 2);
            payload[1] = 0b0100_1100;
        }
        // One is damaged on its way to the sender.
        if index == 10 {
            payload[1] &= !0b100;
            data.iter_mut().for_each(|byte| *byte ^= 0x5A);
        }
        payload.extend(data);
        bench.receive(&packet(Codec::AmrWb, sequence, index * 320, &payload));
        sequence += 1;
    }
    let end = bench.now + crate::common::ms(200);
    bench.go_until(end);
    assert!(described > 30, "{described}");
    let statistics = bench.stream.statistics(bench.now);
    assert_eq!((statistics.concealed_ms, statistics.packets_lost), (0, 0));
    let sound = sound(&bench, Codec::AmrWb);
    let (rest, expected) = (rms(&sound[20_000..36_000]), rms(&said[20_000..36_000]));
    assert!(
        rest > expected / 3.0 && rest < expected * 3.0,
        "{rest} for {expected}"
    );
    for part in [&sound[4_800..7_200], &sound[42_000..46_000]] {
        assert!(purity_at(media::resample::Rate::Hz16000, part, 440.0) > 0.8);
    }
    assert!(
        sound[3_200..4_800]
            .iter()
            .all(|sample| sample.unsigned_abs() < 20_000)
    );
}

#[test]
fn keys_beside_amr_count_in_its_clock() {
    let mut bench = Bench::with(of(Codec::AmrWb));
    bench.start();
    bench.stream.send_dtmf("5", 120).unwrap();
    bench.go(400);
    let mut keys = bench.sent.iter().rev();
    let duration = keys
        .find(|(_, data)| data[1] & 0x7F == 101)
        .map(|(_, data)| u16::from_be_bytes([data[14], data[15]]));
    assert_eq!(duration, Some(1_920));
    let received = heard(
        of(Codec::AmrWb),
        bench.sent.iter().map(|(_, data)| Some(data)),
    );
    let pressed = received.events.iter().any(|event| {
        matches!(
            event,
            StreamEvent::Dtmf {
                digit: '5',
                duration_ms: 120
            }
        )
    });
    assert!(pressed, "{:?}", received.events);
}

#[test]
fn another_codec_in_the_middle_of_a_call_goes_on_with_what_waits() {
    for (from, to) in [
        (Codec::G729, Codec::Pcma),
        (Codec::Pcma, Codec::G729),
        (Codec::G729, Codec::AmrWb),
        (Codec::AmrWb, Codec::G722),
    ] {
        let mut bench = Bench::with(of(from));
        bench.start();
        say(&mut bench, &tone(from, 1_000.0, 2_000));
        bench.go(980);
        let now = bench.now;
        let waiting = bench.stream.playout().queued_ms();
        bench.stream.reconfigure(now, of(to));
        assert_eq!(bench.stream.playout().queued_ms(), waiting);
        bench.go(2_400);
        let kinds: Vec<u8> = bench.sent.iter().map(|(_, data)| data[1] & 0x7F).collect();
        let kind = |codec: Codec| codec.static_payload_type().unwrap_or(DYNAMIC);
        assert_eq!((kinds[0], *kinds.last().unwrap()), (kind(from), kind(to)));
        let later: Vec<Vec<u8>> = bench
            .sent
            .iter()
            .filter(|(_, data)| data[1] & 0x7F == kind(to))
            .map(|(_, data)| data.clone())
            .collect();
        let again = heard(of(to), later.iter().map(Some));
        let sound = sound(&again, to);
        let second = to.form().frame_samples() * 50;
        let part = &sound[second / 5..second * 4 / 5];
        assert!(
            purity_at(to.form().rate(), part, 1_000.0) > 0.85,
            "{from:?} {to:?}"
        );
    }
}

#[test]
fn hostile_packets_end_nothing() {
    let mut state = 9_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    for config in [of(Codec::G729), of(Codec::AmrWb), octets()] {
        let codec = config.codec;
        let sent = packets(config.clone(), &carried(codec, &voice(codec, 1_500)));
        let damaged: Vec<Vec<u8>> = sent
            .iter()
            .chain(&sent)
            .map(|data| {
                let mut data = data.clone();
                for byte in &mut data[12..] {
                    if random() < 60 {
                        *byte ^= random();
                    }
                }
                if random() < 60 {
                    data.truncate(12 + usize::from(random()) % data.len());
                }
                data
            })
            .collect();
        let bench = heard(config, damaged.iter().map(Some));
        let bytes = codec.form().frame_bytes();
        assert!(bench.frames.iter().all(|frame| frame.audio.len() == bytes));
    }
}
