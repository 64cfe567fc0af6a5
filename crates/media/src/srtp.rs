//! SRTP and SRTCP (RFC 3711) with keys by SDES (RFC 4568) or DTLS (RFC 5764): AES in counter mode and HMAC-SHA1, 128 and 256 bit (RFC 6188).
//!
//! No key derivation rate, no MKI, authentication always on. A packet is proved before anything is learned from it.

use aes::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use aes::{Aes128, Aes256};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use crate::rtp;

/// Sources whose rollover counter and replay window are kept per direction; the one unused for longest makes room.
pub const SOURCES_MAX: usize = 8;
/// Packets that a replay window covers.
pub const REPLAY_PACKETS: u32 = 128;
/// Longest tag and trailer, bytes: what protection adds at most.
pub const OVERHEAD_BYTES_MAX: usize = 14;
const SALT_BYTES: usize = 14;
const AUTH_KEY_BYTES: usize = 20;
const RTCP_TAG_BYTES: usize = 10;
/// Labels of the key derivation (RFC 3711 4.3.2); SRTCP adds three.
const LABEL_CIPHER: u8 = 0;
const LABEL_AUTH: u8 = 1;
const LABEL_SALT: u8 = 2;
const LABELS_OF_RTCP: u8 = 3;

/// Crypto suite of an SDES `a=crypto` line (RFC 4568, RFC 6188).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpSuite {
    /// `AES_CM_128_HMAC_SHA1_80`: master key 16, salt 14 bytes.
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`: the same with a short tag on RTP.
    AesCm128HmacSha1_32,
    /// `AES_256_CM_HMAC_SHA1_80`: master key 32, salt 14 bytes.
    Aes256CmHmacSha1_80,
    /// `AES_256_CM_HMAC_SHA1_32`.
    Aes256CmHmacSha1_32,
}

impl SrtpSuite {
    /// Every suite, the one preferred by most peers first.
    pub const ALL: [Self; 4] = [
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::Aes256CmHmacSha1_80,
        Self::Aes256CmHmacSha1_32,
    ];

    /// The suite of an SDES name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// SDES name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Aes256CmHmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes256CmHmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
        }
    }

    /// Bytes of master key and salt together.
    #[must_use]
    pub fn key_len(self) -> usize {
        self.cipher_key_len() + SALT_BYTES
    }

    fn cipher_key_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 16,
            Self::Aes256CmHmacSha1_80 | Self::Aes256CmHmacSha1_32 => 32,
        }
    }

    fn tag_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::Aes256CmHmacSha1_80 => 10,
            Self::AesCm128HmacSha1_32 | Self::Aes256CmHmacSha1_32 => 4,
        }
    }
}

/// Keys of one SRTP stream. A key of the wrong length makes every packet fail, in both directions: nothing is ever sent in the clear.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpConfig {
    /// The suite.
    pub suite: SrtpSuite,
    /// Master key then salt, of what we send.
    pub local_key: Vec<u8>,
    /// Master key then salt, of what the peer sends.
    pub remote_key: Vec<u8>,
}

impl SrtpConfig {
    /// Keys that are still to come, as by DTLS: until the stream has them, nothing is sent, and nothing that comes is believed.
    #[must_use]
    pub fn awaited() -> Self {
        Self {
            suite: SrtpSuite::AesCm128HmacSha1_80,
            local_key: Vec::new(),
            remote_key: Vec::new(),
        }
    }
}

impl std::fmt::Debug for SrtpConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SrtpConfig")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// Why a packet was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SrtpError {
    /// Too short or no RTP.
    Malformed,
    /// The tag does not match.
    Authentication,
    /// Seen before, or older than the window.
    Replay,
}

#[derive(Clone)]
enum Cipher {
    Aes128(Aes128),
    Aes256(Aes256),
}

impl Cipher {
    fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Aes128::new_from_slice(key).ok().map(Self::Aes128),
            32 => Aes256::new_from_slice(key).ok().map(Self::Aes256),
            _ => None,
        }
    }

    fn apply(&self, iv: &[u8; 16], data: &mut [u8]) {
        match self {
            Self::Aes128(cipher) => {
                let core = CtrCore::<Aes128, Ctr128BE>::inner_iv_init(cipher.clone(), iv.into());
                StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
            }
            Self::Aes256(cipher) => {
                let core = CtrCore::<Aes256, Ctr128BE>::inner_iv_init(cipher.clone(), iv.into());
                StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
            }
        }
    }
}

/// Session keys of one direction and kind (RTP or RTCP).
struct Keys {
    cipher: Cipher,
    auth: Hmac<Sha1>,
    salt: [u8; SALT_BYTES],
}

impl Keys {
    fn derive(
        master: &Cipher,
        master_salt: &[u8; SALT_BYTES],
        key_len: usize,
        first_label: u8,
    ) -> Option<Self> {
        let mut key = [0; 32];
        derive(
            master,
            master_salt,
            first_label + LABEL_CIPHER,
            &mut key[..key_len],
        );
        let mut auth_key = [0; AUTH_KEY_BYTES];
        derive(master, master_salt, first_label + LABEL_AUTH, &mut auth_key);
        let mut salt = [0; SALT_BYTES];
        derive(master, master_salt, first_label + LABEL_SALT, &mut salt);
        Some(Self {
            cipher: Cipher::new(&key[..key_len])?,
            auth: Hmac::new_from_slice(&auth_key).ok()?,
            salt,
        })
    }

    /// Encrypts or decrypts (RFC 3711 4.1.1). `index` is the 48-bit packet index, or the 31-bit one of SRTCP.
    fn apply(&self, ssrc: u32, index: u64, data: &mut [u8]) {
        let mut iv = [0; 16];
        iv[4..8].copy_from_slice(&ssrc.to_be_bytes());
        iv[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in iv.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        self.cipher.apply(&iv, data);
    }

    fn tag(&self, data: &[u8], rollover: Option<u32>) -> [u8; 20] {
        let mut mac = self.auth.clone();
        mac.update(data);
        if let Some(rollover) = rollover {
            mac.update(&rollover.to_be_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

/// RFC 3711 4.3.1 and 4.3.3, derivation rate 0.
fn derive(master: &Cipher, salt: &[u8; SALT_BYTES], label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    iv[..SALT_BYTES].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    master.apply(&iv, out);
}

/// Highest index and replay window of one source.
#[derive(Debug, Clone, Copy)]
struct Window {
    ssrc: u32,
    highest: u64,
    seen: u128,
    used_at: u64,
}

impl Window {
    fn check(&self, index: u64) -> bool {
        if index > self.highest {
            return true;
        }
        let back = self.highest - index;
        back < u64::from(REPLAY_PACKETS) && self.seen & (1 << back) == 0
    }

    fn mark(&mut self, index: u64) {
        if index > self.highest {
            let step = u32::try_from(index - self.highest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(step).unwrap_or_default() | 1;
            self.highest = index;
        } else if let Some(bit) = u32::try_from(self.highest - index)
            .ok()
            .and_then(|back| 1_u128.checked_shl(back))
        {
            self.seen |= bit;
        }
    }
}

/// Windows of a bounded number of sources.
#[derive(Debug, Default)]
struct Windows {
    windows: Vec<Window>,
    clock: u64,
}

impl Windows {
    fn find(&self, ssrc: u32) -> Option<&Window> {
        self.windows.iter().find(|window| window.ssrc == ssrc)
    }

    /// Marks the index of a packet that was proved.
    fn mark(&mut self, ssrc: u32, index: u64) {
        self.clock += 1;
        let used_at = self.clock;
        if let Some(window) = self.windows.iter_mut().find(|window| window.ssrc == ssrc) {
            window.mark(index);
            window.used_at = used_at;
            return;
        }
        if self.windows.len() >= SOURCES_MAX {
            let oldest = self
                .windows
                .iter()
                .enumerate()
                .min_by_key(|(_, window)| window.used_at)
                .map(|(place, _)| place);
            if let Some(place) = oldest {
                self.windows.swap_remove(place);
            }
        }
        self.windows.push(Window {
            ssrc,
            highest: index,
            seen: 1,
            used_at,
        });
    }
}

/// One direction of an SRTP stream.
pub struct SrtpContext {
    rtp: Keys,
    rtcp: Keys,
    tag_len: usize,
    rtp_windows: Windows,
    rtcp_windows: Windows,
}

impl std::fmt::Debug for SrtpContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SrtpContext")
            .field("tag_len", &self.tag_len)
            .finish_non_exhaustive()
    }
}

impl SrtpContext {
    /// A context of a master key followed by its salt; `None` when the length is not the suite's.
    #[must_use]
    pub fn new(suite: SrtpSuite, key_and_salt: &[u8]) -> Option<Self> {
        let key_len = suite.cipher_key_len();
        let (key, salt) = key_and_salt.split_at_checked(key_len)?;
        let salt: [u8; SALT_BYTES] = salt.try_into().ok()?;
        let master = Cipher::new(key)?;
        Some(Self {
            rtp: Keys::derive(&master, &salt, key_len, 0)?,
            rtcp: Keys::derive(&master, &salt, key_len, LABELS_OF_RTCP)?,
            tag_len: suite.tag_len(),
            rtp_windows: Windows {
                windows: Vec::with_capacity(SOURCES_MAX),
                clock: 0,
            },
            rtcp_windows: Windows {
                windows: Vec::with_capacity(SOURCES_MAX),
                clock: 0,
            },
        })
    }

    /// Encrypts the RTP packet in the first `len` bytes of `buffer` and adds the tag; the new length.
    /// `None` when the packet or the buffer is too short.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        let (header, header_len) = rtp::parse_header(buffer.get(..len)?).ok()?;
        let total = len + self.tag_len;
        let buffer = buffer.get_mut(..total)?;
        let index = packet_index(self.rtp_windows.find(header.ssrc), header.sequence);
        self.rtp
            .apply(header.ssrc, index, &mut buffer[header_len..len]);
        let tag = self.rtp.tag(&buffer[..len], Some(rollover_of(index)));
        buffer[len..].copy_from_slice(&tag[..self.tag_len]);
        self.rtp_windows.mark(header.ssrc, index);
        Some(total)
    }

    /// Proves and decrypts an RTP packet in place; its length without the tag.
    ///
    /// # Errors
    /// See [`SrtpError`]; the data is unchanged then.
    pub fn unprotect_rtp(&mut self, data: &mut [u8]) -> Result<usize, SrtpError> {
        let len = data
            .len()
            .checked_sub(self.tag_len)
            .ok_or(SrtpError::Malformed)?;
        let (packet, tag) = data.split_at_mut(len);
        let (header, header_len) = rtp::parse_header(packet).map_err(|_| SrtpError::Malformed)?;
        let window = self.rtp_windows.find(header.ssrc);
        let index = packet_index(window, header.sequence);
        if window.is_some_and(|window| !window.check(index)) {
            return Err(SrtpError::Replay);
        }
        let expected = self.rtp.tag(packet, Some(rollover_of(index)));
        if !bool::from(expected[..self.tag_len].ct_eq(tag)) {
            return Err(SrtpError::Authentication);
        }
        self.rtp
            .apply(header.ssrc, index, &mut packet[header_len..]);
        self.rtp_windows.mark(header.ssrc, index);
        Ok(len)
    }

    /// Encrypts the RTCP compound in the first `len` bytes of `buffer`, adds index and tag; the new length.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        let total = len + 4 + RTCP_TAG_BYTES;
        let buffer = buffer.get_mut(..total).filter(|_| len >= 8)?;
        let ssrc = u32::from_be_bytes(*buffer[4..].first_chunk()?);
        let index = self
            .rtcp_windows
            .find(ssrc)
            .map_or(0, |window| window.highest + 1)
            & 0x7FFF_FFFF;
        self.rtcp.apply(ssrc, index, &mut buffer[8..len]);
        let trailer = u32::try_from(index).ok()? | 0x8000_0000;
        buffer[len..len + 4].copy_from_slice(&trailer.to_be_bytes());
        let tag = self.rtcp.tag(&buffer[..len + 4], None);
        buffer[len + 4..].copy_from_slice(&tag[..RTCP_TAG_BYTES]);
        self.rtcp_windows.mark(ssrc, index);
        Some(total)
    }

    /// Proves and decrypts an RTCP packet in place; its length without index and tag.
    ///
    /// # Errors
    /// See [`SrtpError`]; the data is unchanged then.
    pub fn unprotect_rtcp(&mut self, data: &mut [u8]) -> Result<usize, SrtpError> {
        let tagged = data
            .len()
            .checked_sub(RTCP_TAG_BYTES)
            .ok_or(SrtpError::Malformed)?;
        let len = tagged
            .checked_sub(4)
            .filter(|len| *len >= 8)
            .ok_or(SrtpError::Malformed)?;
        let ssrc = u32::from_be_bytes(*data[4..].first_chunk().ok_or(SrtpError::Malformed)?);
        let trailer = u32::from_be_bytes(*data[len..].first_chunk().ok_or(SrtpError::Malformed)?);
        let index = u64::from(trailer & 0x7FFF_FFFF);
        if self
            .rtcp_windows
            .find(ssrc)
            .is_some_and(|window| !window.check(index))
        {
            return Err(SrtpError::Replay);
        }
        let expected = self.rtcp.tag(&data[..tagged], None);
        if !bool::from(expected[..RTCP_TAG_BYTES].ct_eq(&data[tagged..])) {
            return Err(SrtpError::Authentication);
        }
        if trailer & 0x8000_0000 != 0 {
            self.rtcp.apply(ssrc, index, &mut data[8..len]);
        }
        self.rtcp_windows.mark(ssrc, index);
        Ok(len)
    }
}

/// The 48-bit index that a sequence number most likely stands for (RFC 3711 3.3.1).
fn packet_index(window: Option<&Window>, sequence: u16) -> u64 {
    let Some(window) = window else {
        return u64::from(sequence);
    };
    let [.., high, low] = window.highest.to_be_bytes();
    let step = sequence
        .wrapping_sub(u16::from_be_bytes([high, low]))
        .cast_signed();
    let index = window.highest.saturating_add_signed(i64::from(step));
    // Before the first rollover there is nothing lower.
    if step < 0 && u64::from(step.unsigned_abs()) > window.highest {
        u64::from(sequence)
    } else {
        index
    }
}

fn rollover_of(index: u64) -> u32 {
    u32::try_from((index >> 16) & 0xFFFF_FFFF).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    const MASTER: &str = "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6";

    fn derived(key: &[u8], salt: &[u8], label: u8, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        derive(
            &Cipher::new(key).unwrap(),
            salt.try_into().unwrap(),
            label,
            &mut out,
        );
        out
    }

    #[test]
    fn rfc_3711_b2_key_stream() {
        let cipher = Cipher::new(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
        let mut data = [0; 48];
        cipher.apply(
            &hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap(),
            &mut data,
        );
        let expected = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
        assert_eq!(data[..], hex(expected));
    }

    #[test]
    fn rfc_3711_b3_key_derivation() {
        let master = hex(MASTER);
        let (key, salt) = master.split_at(16);
        assert_eq!(
            derived(key, salt, 0, 16),
            hex("C61E7A93744F39EE10734AFE3FF7A087")
        );
        assert_eq!(
            derived(key, salt, 2, 14),
            hex("30CBBC08863D8C85D49DB34A9AE1")
        );
        assert_eq!(
            derived(key, salt, 1, 20),
            hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
        );
    }

    #[test]
    fn rfc_6188_7_4_key_derivation_of_256_bits() {
        let key = hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6");
        let salt = hex("3b04803de51ee7c96423ab5b78d2");
        assert_eq!(
            derived(&key, &salt, 0, 32),
            hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4")
        );
        assert_eq!(
            derived(&key, &salt, 2, 14),
            hex("fa31791685ca444a9e07c6c64e93")
        );
        assert_eq!(
            derived(&key, &salt, 1, 20),
            hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05")
        );
    }

    #[test]
    fn a_packet_of_another_implementation_is_read_and_made() {
        let clear = hex("800f1234decafbadcafebabeabababababababababababababababab");
        let secret =
            hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb");
        let mut context = SrtpContext::new(SrtpSuite::AesCm128HmacSha1_80, &hex(MASTER)).unwrap();
        let mut data = secret.clone();
        let len = context.unprotect_rtp(&mut data).unwrap();
        assert_eq!(data[..len], clear);
        let mut context = SrtpContext::new(SrtpSuite::AesCm128HmacSha1_80, &hex(MASTER)).unwrap();
        let mut buffer = [0; 64];
        buffer[..clear.len()].copy_from_slice(&clear);
        let len = context.protect_rtp(&mut buffer, clear.len()).unwrap();
        assert_eq!(buffer[..len], secret);
    }

    fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
        let header = rtp::Header {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp: 160,
            ssrc,
        };
        [&header.to_bytes()[..], &[0x55; 160]].concat()
    }

    fn pair(suite: SrtpSuite) -> (SrtpContext, SrtpContext) {
        let key: Vec<u8> = (0..46).take(suite.key_len()).collect();
        (
            SrtpContext::new(suite, &key).unwrap(),
            SrtpContext::new(suite, &key).unwrap(),
        )
    }

    fn protected(context: &mut SrtpContext, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + OVERHEAD_BYTES_MAX, 0);
        let len = context.protect_rtp(&mut buffer, packet.len()).unwrap();
        buffer.truncate(len);
        buffer
    }

    #[test]
    fn every_suite_crosses_the_rollover_with_loss_and_disorder() {
        for suite in SrtpSuite::ALL {
            assert_eq!(SrtpSuite::from_name(suite.name()), Some(suite));
            let (mut sender, mut receiver) = pair(suite);
            let mut late = None;
            for step in 0..70_000_u32 {
                let sequence = u16::try_from((65_000 + step) & 0xFFFF).unwrap();
                let clear = rtp(7, sequence);
                let mut data = protected(&mut sender, &clear);
                match step % 1_000 {
                    7 => continue,
                    8 => {
                        late = Some((data, clear));
                        continue;
                    }
                    _ => {}
                }
                let len = receiver.unprotect_rtp(&mut data).unwrap();
                assert_eq!(data[..len], clear);
                if let Some((mut data, clear)) = late.take() {
                    let len = receiver.unprotect_rtp(&mut data).unwrap();
                    assert_eq!(data[..len], clear);
                }
                if suite != SrtpSuite::AesCm128HmacSha1_80 && step > 2_000 {
                    break;
                }
            }
        }
    }

    #[test]
    fn pattern_38_replay_is_dropped_and_a_new_source_has_its_own_window() {
        let (mut sender, mut receiver) = pair(SrtpSuite::AesCm128HmacSha1_80);
        let packets: Vec<_> = (100..400)
            .map(|sequence| protected(&mut sender, &rtp(1, sequence)))
            .collect();
        for packet in &packets {
            assert!(receiver.unprotect_rtp(&mut packet.clone()).is_ok());
        }
        for packet in &packets {
            assert_eq!(
                receiver.unprotect_rtp(&mut packet.clone()),
                Err(SrtpError::Replay)
            );
        }
        // A lower sequence of another source is new.
        let other = protected(&mut sender, &rtp(2, 5));
        assert!(receiver.unprotect_rtp(&mut other.clone()).is_ok());
        assert_eq!(
            receiver.unprotect_rtp(&mut other.clone()),
            Err(SrtpError::Replay)
        );
        for ssrc in 10..100 {
            let packet = protected(&mut sender, &rtp(ssrc, 5));
            assert!(receiver.unprotect_rtp(&mut packet.clone()).is_ok());
        }
        assert_eq!(receiver.rtp_windows.windows.len(), SOURCES_MAX);
    }

    #[test]
    fn a_changed_bit_anywhere_fails() {
        let (mut sender, mut receiver) = pair(SrtpSuite::AesCm128HmacSha1_80);
        let good = protected(&mut sender, &rtp(1, 9));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(receiver.unprotect_rtp(&mut bad).is_err(), "{at}");
        }
        for len in 0..good.len() {
            assert!(receiver.unprotect_rtp(&mut good[..len].to_vec()).is_err());
        }
        assert!(receiver.unprotect_rtp(&mut good.clone()).is_ok());
        assert!(SrtpContext::new(SrtpSuite::AesCm128HmacSha1_80, &[0; 29]).is_none());
    }

    #[test]
    fn srtcp_goes_there_and_back_once() {
        for suite in SrtpSuite::ALL {
            let (mut sender, mut receiver) = pair(suite);
            let clear = [0x80, 201, 0, 1, 0, 0, 0, 7, 0x81, 202, 0, 1, 0, 0, 0, 7];
            for _ in 0..300 {
                let mut buffer = [0; 64];
                buffer[..16].copy_from_slice(&clear);
                let len = sender.protect_rtcp(&mut buffer, 16).unwrap();
                assert_ne!(buffer[8..16], clear[8..]);
                let mut again = buffer;
                assert_eq!(receiver.unprotect_rtcp(&mut buffer[..len]), Ok(16));
                assert_eq!(buffer[..16], clear);
                assert_eq!(
                    receiver.unprotect_rtcp(&mut again[..len]),
                    Err(SrtpError::Replay)
                );
            }
        }
    }
}
