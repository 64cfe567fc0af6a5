//! RTCP: compounds of anything are read within their bounds; what is written is read back the same.

use crate::bytes::Bytes;
use media::rtcp::{self, Compound, Packet, ReportBlock, SenderInfo};

pub fn target(data: &[u8]) {
    let mut count = 0;
    for packet in rtcp::packets(data) {
        count += 1;
        assert!(count <= data.len() / 4 + 1, "more packets than bytes");
        if let Ok(Packet::Report { blocks, .. }) = packet {
            assert!(blocks.count() <= 31);
        }
    }
    round_trip(&mut Bytes::new(data));
}

fn round_trip(bytes: &mut Bytes<'_>) {
    let ssrc = bytes.u32();
    let sender = bytes.flag().then(|| SenderInfo {
        ntp: (u64::from(bytes.u32()) << 32) | u64::from(bytes.u32()),
        rtp_timestamp: bytes.u32(),
        packets: bytes.u32(),
        bytes: bytes.u32(),
    });
    let block = bytes.flag().then(|| ReportBlock {
        ssrc: bytes.u32(),
        fraction_lost: bytes.byte(),
        lost: (bytes.u32() << 8).cast_signed() >> 8,
        highest_sequence: bytes.u32(),
        jitter: bytes.u32(),
        last_sr: bytes.u32(),
        delay_since_sr: bytes.u32(),
    });
    let bye = bytes.flag();
    let room = usize::from(bytes.u16()) % 700;
    let cname = String::from_utf8_lossy(bytes.remainder()).into_owned();
    let compound = Compound {
        ssrc,
        sender,
        block,
        cname: &cname,
        bye,
    };
    let mut buffer = vec![0; room];
    let Some(len) = rtcp::write(&compound, &mut buffer) else {
        assert!(room < 328, "a buffer of {room} bytes is enough");
        return;
    };
    let packets: Vec<_> = rtcp::packets(&buffer[..len])
        .map(|packet| packet.expect("what we write can be read"))
        .collect();
    assert_eq!(packets.len(), 2 + usize::from(bye));
    let Packet::Report {
        ssrc: by,
        sender: said,
        mut blocks,
    } = packets[0]
    else {
        panic!("a compound begins with a report");
    };
    assert_eq!((by, said, blocks.next()), (ssrc, sender, block));
    if bye {
        assert_eq!(packets[2], Packet::Goodbye { ssrc: Some(ssrc) });
    }
}
