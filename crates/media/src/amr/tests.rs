use super::*;

#[test]
fn a_rate_is_changed_at_agreed_frames_only() {
    let terms = AmrTerms::from_parameters("mode-change-period=2;mode-change-neighbor=1");
    let mut encoder = Encoder::new(terms);
    let mut out = [0; 200];
    let mut modes = Vec::new();
    encoder.encode(&[0; FRAME_SAMPLES], &mut out);
    encoder.request(5);
    for _ in 0..8 {
        let len = encoder.encode(&[0; FRAME_SAMPLES], &mut out).unwrap();
        let read = payload::read(terms, &out[..len]).unwrap();
        modes.push(read.frames()[0].kind);
    }
    assert_eq!(modes, [2, 3, 3, 4, 4, 5, 5, 5]);
}

#[test]
fn a_new_agreement_forbids_what_it_does_not_name() {
    let mut encoder = Encoder::new(AmrTerms::default());
    encoder.request(8);
    encoder.agree(AmrTerms::from_parameters("octet-align=1;mode-set=0,1"));
    assert_eq!((encoder.mode, encoder.wanted), (1, 1));
    encoder.request(8);
    encoder.request(15);
    assert_eq!(encoder.wanted, 1);
    encoder.request(0);
    assert_eq!(encoder.wanted, 0);
}

#[test]
fn lost_speech_and_described_noise_are_told_apart() {
    let mut decoder = Decoder::new(AmrTerms::from_parameters("octet-align=1"));
    let mut out = [0; PACKET_SAMPLES_MAX];
    // A description of noise, an update: FT=9.
    let noise = [0xF0, 0b0100_1100, 0x2B, 0x07, 0x83, 0x68, 0x12];
    assert_eq!(decoder.decode(&noise, &mut out), Some(FRAME_SAMPLES));
    assert!(decoder.is_resting());
    assert_eq!(decoder.conceal(&mut out[..640]), Some(640));
    let speech: Vec<u8> = [0xF0, 0b0001_0100].into_iter().chain([0x5A; 32]).collect();
    assert_eq!(decoder.decode(&speech, &mut out), Some(FRAME_SAMPLES));
    assert!(!decoder.is_resting());
    assert_eq!(decoder.conceal(&mut out[..320]), Some(320));
    assert_eq!(decoder.decode(&[0xF0], &mut out), None);
}
