//! G.711 µ-law and A-law, computed from ITU-T G.711 and independent of `media`, so that a fault in either is heard by the other.

/// The sample of a µ-law byte.
pub fn ulaw_decode(byte: u8) -> i16 {
    let byte = !byte;
    let exponent = (byte >> 4) & 0x07;
    let mantissa = i16::from(byte & 0x0f);
    let magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84;
    if byte & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// The µ-law byte of a sample.
pub fn ulaw_encode(sample: i16) -> u8 {
    let magnitude = i32::from(sample).abs().min(32_635) + 0x84;
    let exponent = bits(magnitude >> 7) - 1;
    let mantissa = u8::try_from((magnitude >> (exponent + 3)) & 0x0f).expect("four bits");
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (exponent << 4) | mantissa)
}

/// The sample of an A-law byte.
pub fn alaw_decode(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let exponent = (byte >> 4) & 0x07;
    let mantissa = i16::from(byte & 0x0f) << 4;
    let magnitude = if exponent == 0 {
        mantissa + 8
    } else {
        (mantissa + 0x108) << (exponent - 1)
    };
    if byte & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

/// The A-law byte of a sample.
pub fn alaw_encode(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 {
        (0x80, i32::from(sample))
    } else {
        (0, -i32::from(sample) - 1)
    };
    let exponent = bits(magnitude >> 8);
    let shift = exponent.max(1) + 3;
    let mantissa = u8::try_from((magnitude >> shift) & 0x0f).expect("four bits");
    (sign | (exponent << 4) | mantissa) ^ 0x55
}

/// The number of bits of a shifted magnitude, which has 8 at most.
fn bits(value: i32) -> u8 {
    u8::try_from(32 - value.leading_zeros()).expect("32 at most")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        for byte in 0..=255_u8 {
            // Negative zero of the µ-law is the one byte that a linear sample cannot carry.
            if byte != 0x7f {
                assert_eq!(ulaw_encode(ulaw_decode(byte)), byte, "µ {byte:#x}");
            }
            assert_eq!(alaw_encode(alaw_decode(byte)), byte, "A {byte:#x}");
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(ulaw_decode(0xff), 0);
        assert_eq!(ulaw_decode(0x80), 32_124);
        assert_eq!(ulaw_decode(0x00), -32_124);
        assert_eq!(alaw_decode(0xd5), 8);
        assert_eq!(alaw_decode(0xaa), 32_256);
        assert_eq!(alaw_decode(0x2a), -32_256);
        assert_eq!(ulaw_encode(i16::MIN), 0x00);
        assert_eq!(alaw_encode(i16::MAX), 0xaa);
    }
}
