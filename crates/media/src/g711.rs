//! G.711 µ-law and A-law (ITU-T G.711), by tables made at compile time.

use crate::frame::Law;

/// Decodes one µ-law byte to 16-bit linear.
#[must_use]
pub fn ulaw_decode(byte: u8) -> i16 {
    ULAW_TO_LINEAR[usize::from(byte)]
}

/// Decodes one A-law byte to 16-bit linear.
#[must_use]
pub fn alaw_decode(byte: u8) -> i16 {
    ALAW_TO_LINEAR[usize::from(byte)]
}

/// Encodes one 16-bit linear sample as µ-law.
#[must_use]
pub fn ulaw_encode(sample: i16) -> u8 {
    ulaw_encode_const(sample)
}

/// Encodes one 16-bit linear sample as A-law.
#[must_use]
pub fn alaw_encode(sample: i16) -> u8 {
    alaw_encode_const(sample)
}

/// Decodes one byte of a law.
#[must_use]
pub fn decode(law: Law, byte: u8) -> i16 {
    match law {
        Law::Pcmu => ulaw_decode(byte),
        Law::Pcma => alaw_decode(byte),
    }
}

/// Encodes one sample by a law.
#[must_use]
pub fn encode(law: Law, sample: i16) -> u8 {
    match law {
        Law::Pcmu => ulaw_encode(sample),
        Law::Pcma => alaw_encode(sample),
    }
}

/// Decodes `from` into `to`, as many samples as the shorter of both holds.
pub fn decode_into(law: Law, from: &[u8], to: &mut [i16]) {
    let table = match law {
        Law::Pcmu => &ULAW_TO_LINEAR,
        Law::Pcma => &ALAW_TO_LINEAR,
    };
    for (sample, byte) in to.iter_mut().zip(from) {
        *sample = table[usize::from(*byte)];
    }
}

/// Encodes `from` into `to`, as many samples as the shorter of both holds.
pub fn encode_into(law: Law, from: &[i16], to: &mut [u8]) {
    for (byte, sample) in to.iter_mut().zip(from) {
        *byte = encode(law, *sample);
    }
}

/// Rewrites `audio` in place from one law to the other, by table (no resampling, no linear step).
pub fn transcode(from: Law, to: Law, audio: &mut [u8]) {
    let table = match (from, to) {
        (Law::Pcmu, Law::Pcma) => &ULAW_TO_ALAW,
        (Law::Pcma, Law::Pcmu) => &ALAW_TO_ULAW,
        (Law::Pcmu, Law::Pcmu) | (Law::Pcma, Law::Pcma) => return,
    };
    for byte in audio {
        *byte = table[usize::from(*byte)];
    }
}

static ULAW_TO_LINEAR: [i16; 256] = ulaw_table();
static ALAW_TO_LINEAR: [i16; 256] = alaw_table();
static ULAW_TO_ALAW: [u8; 256] = transcode_table(true);
static ALAW_TO_ULAW: [u8; 256] = transcode_table(false);

const ULAW_BIAS: i32 = 0x84;
const ULAW_CLIP: i32 = 32_635;

#[expect(
    clippy::cast_possible_truncation,
    reason = "a µ-law magnitude is at most 32,124"
)]
const fn ulaw_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let code = !index as u8;
        let exponent = (code >> 4) & 7;
        let mantissa = (code & 15) as i32;
        let magnitude = (((mantissa << 3) + ULAW_BIAS) << exponent) - ULAW_BIAS;
        table[index] = if code & 0x80 == 0 {
            magnitude as i16
        } else {
            -magnitude as i16
        };
        index += 1;
    }
    table
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an A-law magnitude is at most 32,256"
)]
const fn alaw_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let code = index as u8 ^ 0x55;
        let exponent = (code >> 4) & 7;
        let mantissa = (code & 15) as i32;
        let magnitude = if exponent == 0 {
            (mantissa << 4) + 8
        } else {
            ((mantissa << 4) + 0x108) << (exponent - 1)
        };
        table[index] = if code & 0x80 == 0 {
            -magnitude as i16
        } else {
            magnitude as i16
        };
        index += 1;
    }
    table
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "every field is masked to its width"
)]
const fn ulaw_encode_const(sample: i16) -> u8 {
    let sample = sample as i32;
    let (sign, magnitude) = if sample < 0 {
        (0x80, -sample)
    } else {
        (0, sample)
    };
    let magnitude = if magnitude > ULAW_CLIP {
        ULAW_CLIP
    } else {
        magnitude
    } + ULAW_BIAS;
    // The bias puts the top bit between 7 and 14.
    let exponent = 24 - magnitude.leading_zeros() as i32;
    let mantissa = (magnitude >> (exponent + 3)) & 15;
    !(sign | ((exponent << 4) | mantissa) as u8)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "every field is masked to its width"
)]
const fn alaw_encode_const(sample: i16) -> u8 {
    let sample = sample as i32;
    // One's complement of negatives keeps both halves the same size.
    let (sign, magnitude) = if sample < 0 {
        (0, !sample)
    } else {
        (0x80, sample)
    };
    let code = if magnitude < 256 {
        magnitude >> 4
    } else {
        let exponent = 24 - magnitude.leading_zeros() as i32;
        (exponent << 4) | ((magnitude >> (exponent + 3)) & 15)
    };
    (sign | code as u8) ^ 0x55
}

const fn transcode_table(from_ulaw: bool) -> [u8; 256] {
    let mut table = [0; 256];
    let (ulaw, alaw) = (ulaw_table(), alaw_table());
    let mut index = 0;
    while index < 256 {
        table[index] = if from_ulaw {
            alaw_encode_const(ulaw[index])
        } else {
            ulaw_encode_const(alaw[index])
        };
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_of_the_recommendation() {
        assert_eq!(
            (
                ulaw_decode(0xFF),
                ulaw_decode(0x7F),
                ulaw_decode(0x80),
                ulaw_decode(0x00)
            ),
            (0, 0, 32_124, -32_124)
        );
        assert_eq!(
            (
                alaw_decode(0xD5),
                alaw_decode(0x55),
                alaw_decode(0xAA),
                alaw_decode(0x2A)
            ),
            (8, -8, 32_256, -32_256)
        );
        assert_eq!(
            (ulaw_encode(0), ulaw_encode(i16::MAX), ulaw_encode(i16::MIN)),
            (0xFF, 0x80, 0x00)
        );
        assert_eq!(
            (alaw_encode(0), alaw_encode(i16::MAX), alaw_encode(i16::MIN)),
            (0xD5, 0xAA, 0x2A)
        );
    }

    #[test]
    fn every_code_survives_a_round_trip_and_every_sample_its_sign_and_size() {
        for byte in 0..=255_u8 {
            // Negative zero of µ-law becomes positive zero.
            assert_eq!(
                ulaw_decode(ulaw_encode(ulaw_decode(byte))),
                ulaw_decode(byte)
            );
            assert_eq!(alaw_encode(alaw_decode(byte)), byte);
        }
        for sample in i16::MIN..=i16::MAX {
            let clipped = f32::from(sample.clamp(-32_124, 32_124));
            for law in [Law::Pcmu, Law::Pcma] {
                let back = f32::from(decode(law, encode(law, sample)));
                assert!(
                    (back - clipped).abs() <= clipped.abs() * 0.04 + 16.0,
                    "{law:?} {sample} {back}"
                );
            }
        }
    }

    #[test]
    fn transcoding_goes_over_the_nearest_level() {
        let mut audio: Vec<u8> = (0..=255).collect();
        transcode(Law::Pcmu, Law::Pcma, &mut audio);
        for (byte, coded) in (0..=255).zip(&audio) {
            assert_eq!(*coded, alaw_encode(ulaw_decode(byte)));
        }
        let before = audio.clone();
        transcode(Law::Pcma, Law::Pcma, &mut audio);
        assert_eq!(audio, before);
    }
}
