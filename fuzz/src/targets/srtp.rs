//! SRTP: only what was protected with the key is accepted, once, as it was; a refused packet is left as it came.

use crate::bytes::Bytes;
use media::srtp::{SrtpContext, SrtpSuite};

/// Packets of one run.
const PACKETS_MAX: usize = 64;

struct Sent {
    is_rtcp: bool,
    plain: Vec<u8>,
    protected: Vec<u8>,
    was_accepted: bool,
}

pub fn target(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let suite = bytes.pick(&SrtpSuite::ALL);
    let key: Vec<u8> = (0_u8..).take(suite.key_len()).collect();
    let context = || SrtpContext::new(suite, &key).expect("the key has the suite's length");
    assert!(SrtpContext::new(suite, &key[1..]).is_none());
    let (mut sender, mut receiver) = (context(), context());
    let mut sent: Vec<Sent> = Vec::new();
    while !bytes.is_empty() {
        match bytes.below(4) {
            0 if sent.len() < PACKETS_MAX => sent.extend(protect(&mut sender, &mut bytes)),
            1 if !sent.is_empty() => {
                let index = bytes.below(sent.len());
                deliver(&mut receiver, &mut sent[index]);
            }
            2 if !sent.is_empty() => {
                let index = bytes.below(sent.len());
                deliver_damaged(&mut receiver, &sent[index], &mut bytes);
            }
            _ => {
                let is_rtcp = bytes.flag();
                refuse(&mut receiver, is_rtcp, bytes.chunk());
            }
        }
    }
}

fn protect(sender: &mut SrtpContext, bytes: &mut Bytes<'_>) -> Option<Sent> {
    let is_rtcp = bytes.flag();
    let mut plain = vec![0x80, if is_rtcp { 200 } else { bytes.byte() & 0x7F }];
    if is_rtcp {
        plain.extend([0, 1]);
    } else {
        plain.extend(bytes.u16().to_be_bytes());
        plain.extend([0, 0, 0, 1]);
    }
    // Two sources: fewer than a context remembers, so that no replay window is forgotten.
    plain.extend([0, 0, 0, bytes.byte() & 1]);
    plain.extend(bytes.chunk());
    let mut buffer = plain.clone();
    buffer.resize(plain.len() + media::srtp::OVERHEAD_BYTES_MAX, 0);
    let len = if is_rtcp {
        sender.protect_rtcp(&mut buffer, plain.len())
    } else {
        sender.protect_rtp(&mut buffer, plain.len())
    }?;
    buffer.truncate(len);
    Some(Sent {
        is_rtcp,
        plain,
        protected: buffer,
        was_accepted: false,
    })
}

fn unprotect(receiver: &mut SrtpContext, is_rtcp: bool, data: &mut [u8]) -> Option<usize> {
    if is_rtcp {
        receiver.unprotect_rtcp(data).ok()
    } else {
        receiver.unprotect_rtp(data).ok()
    }
}

fn deliver(receiver: &mut SrtpContext, sent: &mut Sent) {
    let mut data = sent.protected.clone();
    match unprotect(receiver, sent.is_rtcp, &mut data) {
        Some(len) => {
            assert!(!sent.was_accepted, "a replay was accepted");
            assert_eq!(data[..len], sent.plain, "not what was sent");
            sent.was_accepted = true;
        }
        None => assert_eq!(data, sent.protected, "a refused packet was changed"),
    }
}

fn deliver_damaged(receiver: &mut SrtpContext, sent: &Sent, bytes: &mut Bytes<'_>) {
    let mut data = sent.protected.clone();
    let at = usize::from(bytes.u16()) % data.len();
    data[at] ^= bytes.byte().max(1);
    refuse(receiver, sent.is_rtcp, &data);
}

fn refuse(receiver: &mut SrtpContext, is_rtcp: bool, data: &[u8]) {
    let mut copy = data.to_vec();
    assert_eq!(
        unprotect(receiver, is_rtcp, &mut copy),
        None,
        "a packet without the key was accepted"
    );
    assert_eq!(copy, data, "a refused packet was changed");
}
