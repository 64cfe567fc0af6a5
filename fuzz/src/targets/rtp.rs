//! RTP headers: bounds, and what is read prints as it was.

use media::rtp;

pub fn target(data: &[u8]) {
    let _ = rtp::is_rtcp(data);
    let header = rtp::parse_header(data);
    let Ok(packet) = rtp::parse(data) else {
        return;
    };
    let (parsed, header_len) = header.expect("a packet has a header");
    assert_eq!(parsed, packet.header);
    assert!(header_len + packet.payload.len() <= data.len());
    assert!(packet.csrc_count <= 15 && packet.header.payload_type <= 127);
    if let Some((_, extension)) = packet.extension {
        assert!(extension.len() % 4 == 0 && extension.len() < header_len);
    }
    assert_eq!(packet.header.to_bytes()[1..], data[1..rtp::HEADER_BYTES]);
    if data[0] == 0x80 {
        assert_eq!(packet.payload, &data[rtp::HEADER_BYTES..]);
    }
}
