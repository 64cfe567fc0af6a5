//! Packets of a call's audio, for Wireshark: blocks that a call fills by copy and its journal writes, and their reading.
//!
//! A block is a head (what it holds of each packet, our addresses, what found no place in it) and its packets, little endian. It is read by
//! the version that wrote it or a later one; one that cannot be read is passed over.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use base64_simd::STANDARD;
use call::CallId;
use jiff::{SignedDuration, Timestamp};
use sqlx::Row;

use crate::call_record::{require_call, signed, unsigned};
use crate::db::Store;
use crate::error::{ReadError, WriteError};
use crate::limits;
use crate::scope::TenantScope;
use crate::sql::Sql;

/// Most bytes of one block: 15 s of whole packets of G.711 in both directions.
pub const BLOCK_BYTES_MAX: usize = 384 * 1_024;
/// Most bytes kept of one packet.
pub const PACKET_BYTES_MAX: usize = 2_048;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 39;
const SKIPPED_AT: usize = 31;
const WITHHELD_AT: usize = 35;
const SENT: u8 = 1;
const RTCP: u8 = 2;
/// The peer's address follows; else it is that of the packet before in the same direction and by the same port.
const ADDRESS: u8 = 4;

/// What is kept of each packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PacketContents {
    /// Nothing is kept.
    #[default]
    None,
    /// RTP headers, and RTCP whole.
    Headers,
    /// Everything: the voices too.
    Whole,
}

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// What is kept of each packet.
    pub contents: PacketContents,
    /// The audio was encrypted: of its packets the headers are kept, of its reports nothing.
    pub encrypted: bool,
    /// Our RTP address, as the peer is told it.
    pub local: SocketAddr,
    /// Our RTCP port.
    pub rtcp_port: u16,
    /// What the times of its packets are counted from.
    pub began: Timestamp,
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Microseconds since [`BlockHead::began`].
    pub at_us: u64,
    /// We sent it.
    pub sent: bool,
    /// By our RTCP port.
    pub rtcp_port: bool,
    /// The other address.
    pub remote: SocketAddr,
    /// Its length on the wire, bytes.
    pub length: u16,
    /// What is kept of it.
    pub data: &'a [u8],
}

/// A block under way: memory that is asked for when a block begins, not when a packet comes.
#[derive(Debug)]
pub struct PacketBlock {
    head: BlockHead,
    bytes: Vec<u8>,
    capacity: usize,
    count: u32,
    /// Time of its first packet: the head says it, since what is written of each packet is the time since the one before, in 32 bits.
    first_us: u64,
    last_us: u64,
    peers: [Option<SocketAddr>; 4],
    skipped: u32,
    withheld: u32,
}

impl PacketBlock {
    /// An empty one.
    pub fn new(head: BlockHead) -> Self {
        let capacity = match head.contents {
            PacketContents::None => HEAD_BYTES,
            PacketContents::Headers => BLOCK_BYTES_MAX / 6,
            PacketContents::Whole => BLOCK_BYTES_MAX,
        };
        Self {
            head,
            bytes: begun(capacity),
            capacity,
            count: 0,
            first_us: 0,
            last_us: 0,
            peers: [None; 4],
            skipped: 0,
            withheld: 0,
        }
    }

    /// What it holds.
    pub fn head(&self) -> &BlockHead {
        &self.head
    }

    /// Everything of each packet is kept from now on, with the memory that it takes.
    pub fn keep_whole(&mut self) {
        self.head.contents = PacketContents::Whole;
        self.capacity = BLOCK_BYTES_MAX;
        self.bytes
            .reserve(BLOCK_BYTES_MAX.saturating_sub(self.bytes.len()));
    }

    /// What the times of its packets are counted from is known.
    pub fn set_began(&mut self, began: Timestamp) {
        self.head.began = began;
    }

    /// The encryption of the leg is known, or changed: for the packets of this block and those that follow.
    pub fn set_encrypted(&mut self, encrypted: bool) {
        self.head.encrypted = encrypted;
    }

    /// Copies a packet; one that has no room is counted. No memory is asked for.
    pub fn push(&mut self, packet: &Packet<'_>) {
        let data = packet.data.get(..PACKET_BYTES_MAX).unwrap_or(packet.data);
        let kind = usize::from(packet.sent) | usize::from(packet.rtcp_port) << 1;
        let known = self.peers[kind] == Some(packet.remote);
        let size = 9 + data.len() + if known { 0 } else { 18 };
        if self.bytes.len() + size > self.capacity {
            self.skipped = self.skipped.saturating_add(1);
            return;
        }
        if self.count == 0 {
            (self.first_us, self.last_us) = (packet.at_us, packet.at_us);
        }
        let since = packet.at_us.saturating_sub(self.last_us);
        self.last_us = packet.at_us;
        let flags = if packet.sent { SENT } else { 0 }
            | if packet.rtcp_port { RTCP } else { 0 }
            | if known { 0 } else { ADDRESS };
        let length = u16::try_from(data.len()).unwrap_or_default();
        let bytes = &mut self.bytes;
        bytes.extend(u32::try_from(since).unwrap_or(u32::MAX).to_le_bytes());
        bytes.push(flags);
        bytes.extend(packet.length.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        if !known {
            bytes.extend(octets(packet.remote.ip()));
            bytes.extend(packet.remote.port().to_le_bytes());
            self.peers[kind] = Some(packet.remote);
        }
        bytes.extend(data);
        self.count += 1;
    }

    /// A packet was not kept, since the caller typed in secrecy.
    pub fn withhold(&mut self) {
        self.withheld = self.withheld.saturating_add(1);
    }

    /// Whether it should be written before it is full.
    pub fn is_crowded(&self) -> bool {
        self.bytes.len() > self.capacity / 2
    }

    /// Bytes of the memory that it takes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes of its packets.
    pub fn len(&self) -> usize {
        self.bytes.len() - HEAD_BYTES
    }

    /// No packet is in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// No packet is in it, and none was left out.
    pub fn has_nothing_to_tell(&self) -> bool {
        self.count == 0 && self.skipped == 0 && self.withheld == 0
    }

    /// Its packets find no place: they are counted, as those that found none here.
    pub fn discard(&mut self) {
        self.skipped = self.skipped.saturating_add(self.count);
        self.bytes.truncate(HEAD_BYTES);
        self.begin();
    }

    /// The block, and the next one begins.
    pub fn take(&mut self) -> Vec<u8> {
        let mut block = std::mem::replace(&mut self.bytes, begun(self.capacity));
        let BlockHead {
            contents,
            encrypted,
            local,
            rtcp_port,
            began,
        } = self.head;
        let first = SignedDuration::from_micros(i64::try_from(self.first_us).unwrap_or(i64::MAX));
        let began = began.checked_add(first).unwrap_or(began);
        block[0] = VERSION;
        block[1] = match contents {
            PacketContents::None => 0,
            PacketContents::Headers => 1,
            PacketContents::Whole => 2,
        };
        block[2] = u8::from(encrypted);
        block[3..19].copy_from_slice(&octets(local.ip()));
        block[19..21].copy_from_slice(&local.port().to_le_bytes());
        block[21..23].copy_from_slice(&rtcp_port.to_le_bytes());
        block[23..SKIPPED_AT].copy_from_slice(&began.as_microsecond().to_le_bytes());
        block[SKIPPED_AT..WITHHELD_AT].copy_from_slice(&self.skipped.to_le_bytes());
        block[WITHHELD_AT..HEAD_BYTES].copy_from_slice(&self.withheld.to_le_bytes());
        (self.skipped, self.withheld) = (0, 0);
        self.begin();
        block
    }

    fn begin(&mut self) {
        self.count = 0;
        (self.first_us, self.last_us) = (0, 0);
        self.peers = [None; 4];
    }
}

fn begun(capacity: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(capacity);
    bytes.resize(HEAD_BYTES, 0);
    bytes
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// A block that is read: its head, and what found no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBlock<'a> {
    /// Its head.
    pub head: BlockHead,
    /// Packets that found no room.
    pub skipped: u32,
    /// Packets that were left out, since the caller typed in secrecy.
    pub withheld: u32,
    rest: &'a [u8],
}

impl<'a> ReadBlock<'a> {
    /// Reads the head; `None` for what no version has written.
    pub fn read(block: &'a [u8]) -> Option<Self> {
        let (head, rest) = block.split_first_chunk::<HEAD_BYTES>()?;
        if head[0] != VERSION {
            return None;
        }
        let mut fields = Fields(&head[1..]);
        let contents = match fields.take::<1>()? {
            [1] => PacketContents::Headers,
            [2] => PacketContents::Whole,
            _ => return None,
        };
        let [encrypted] = fields.take()?;
        let local = fields.address()?;
        let rtcp_port = u16::from_le_bytes(fields.take()?);
        let began = Timestamp::from_microsecond(i64::from_le_bytes(fields.take()?)).ok()?;
        Some(Self {
            head: BlockHead {
                contents,
                encrypted: encrypted != 0,
                local,
                rtcp_port,
                began,
            },
            skipped: u32::from_le_bytes(fields.take()?),
            withheld: u32::from_le_bytes(fields.take()?),
            rest,
        })
    }

    /// Its packets, in their order; one that is cut ends them.
    pub fn packets(self) -> Packets<'a> {
        Packets {
            fields: Fields(self.rest),
            at_us: 0,
            peers: [None; 4],
        }
    }
}

/// The packets of a block, read in place.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    fields: Fields<'a>,
    at_us: u64,
    peers: [Option<SocketAddr>; 4],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let fields = &mut self.fields;
        self.at_us += u64::from(u32::from_le_bytes(fields.take()?));
        let [flags] = fields.take()?;
        let length = u16::from_le_bytes(fields.take()?);
        let kept = u16::from_le_bytes(fields.take()?);
        let kind = usize::from(flags & (SENT | RTCP));
        if flags & ADDRESS != 0 {
            self.peers[kind] = Some(fields.address()?);
        }
        Some(Packet {
            at_us: self.at_us,
            sent: flags & SENT != 0,
            rtcp_port: flags & RTCP != 0,
            remote: self.peers[kind]?,
            length,
            data: fields.bytes(kept.into())?,
        })
    }
}

#[derive(Clone, Debug)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn address(&mut self) -> Option<SocketAddr> {
        let ip = Ipv6Addr::from(self.take::<16>()?).to_canonical();
        Some(SocketAddr::new(ip, u16::from_le_bytes(self.take()?)))
    }
}

impl Store {
    /// Adds a block to a call, under its number. Writing one again changes nothing, so a write may be repeated.
    ///
    /// # Errors
    /// [`WriteError::UnknownCall`], or what the database says; then it is not written.
    pub async fn append_packet_block(
        &self,
        scope: &TenantScope,
        call: &CallId,
        seq: u64,
        block: &[u8],
    ) -> Result<(), WriteError> {
        let mut write = self.write().await?;
        require_call(&mut write, scope.id(), call.as_str()).await?;
        let mut sql = Sql::new("INSERT INTO call_packets (call_id, seq, block) VALUES (");
        sql.bind(call.as_str().to_owned());
        sql.with(", ", signed(seq));
        sql.with(", ", STANDARD.encode_to_string(block));
        sql.push(") ON CONFLICT (call_id, seq) DO NOTHING");
        sql.run(&mut write).await?;
        write.commit().await
    }

    /// The blocks of a call with their numbers, in order; at most [`limits::PACKET_BLOCKS_READ_MAX`]. None for a call that this tenant
    /// does not have.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn packets(
        &self,
        scope: &TenantScope,
        call: &CallId,
    ) -> Result<Vec<(u64, Vec<u8>)>, ReadError> {
        let mut sql = Sql::new(
            "SELECT p.seq, p.block FROM call_packets p JOIN calls c ON c.id = p.call_id WHERE c.id = ",
        );
        sql.bind(call.as_str().to_owned());
        sql.with(" AND c.tenant_id = ", scope.id().to_owned());
        sql.with(
            " ORDER BY p.seq LIMIT ",
            i64::from(limits::PACKET_BLOCKS_READ_MAX),
        );
        let mut blocks = Vec::new();
        for row in sql.rows(self.readers()).await? {
            let block = row.try_get::<&str, _>("block")?;
            if let Ok(block) = STANDARD.decode_to_vec(block) {
                blocks.push((unsigned(row.try_get("seq")?), block));
            }
        }
        Ok(blocks)
    }

    /// What is kept of each packet of a call: what its first block says.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn packet_contents(
        &self,
        scope: &TenantScope,
        call: &CallId,
    ) -> Result<PacketContents, ReadError> {
        let mut sql = Sql::new(
            "SELECT SUBSTR(p.block, 1, 4) AS head FROM call_packets p JOIN calls c ON c.id = p.call_id WHERE c.id = ",
        );
        sql.bind(call.as_str().to_owned());
        sql.with(" AND c.tenant_id = ", scope.id().to_owned());
        sql.push(" ORDER BY p.seq LIMIT 1");
        let Some(row) = sql.row(self.readers()).await? else {
            return Ok(PacketContents::None);
        };
        let head = STANDARD.decode_to_vec(row.try_get::<&str, _>("head")?);
        Ok(match head.ok().and_then(|head| head.get(1).copied()) {
            Some(1) => PacketContents::Headers,
            Some(2) => PacketContents::Whole,
            Some(_) | None => PacketContents::None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(contents: PacketContents) -> BlockHead {
        BlockHead {
            contents,
            encrypted: true,
            local: "192.0.2.1:4000".parse().expect("an address"),
            rtcp_port: 4_001,
            began: Timestamp::from_microsecond(1_764_450_000_000_123).expect("a time"),
        }
    }

    fn packet<'a>(at_us: u64, sent: bool, remote: &str, data: &'a [u8]) -> Packet<'a> {
        Packet {
            at_us,
            sent,
            rtcp_port: false,
            remote: remote.parse().expect("an address"),
            length: 172,
            data,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut block = PacketBlock::new(head(PacketContents::Headers));
        // In the third hour of a call, whose microseconds are no 32 bits.
        let before = 2 * 3_600_000_000;
        let packets = [
            packet(0, false, "198.51.100.7:9000", b"one"),
            packet(20_005, true, "198.51.100.7:9000", b"two"),
            packet(20_006, false, "198.51.100.7:9000", b""),
            packet(40_000, false, "[2001:db8::7]:9", b"four"),
        ];
        for packet in &packets {
            let at_us = before + packet.at_us;
            block.push(&Packet { at_us, ..*packet });
        }
        block.withhold();
        let bytes = block.take();
        let read = ReadBlock::read(&bytes).expect("a block");
        let began = head(PacketContents::Headers).began + SignedDuration::from_hours(2);
        let head = head(PacketContents::Headers);
        assert_eq!(read.head, BlockHead { began, ..head });
        assert_eq!((read.skipped, read.withheld), (0, 1));
        assert!(read.packets().eq(packets));
        assert!(block.has_nothing_to_tell());
        // The next begins anew: addresses are said again.
        block.push(&packets[0]);
        let next = block.take();
        let next = ReadBlock::read(&next).expect("a block");
        assert_eq!((next.packets().count(), next.head), (1, head));
        assert!(next.packets().eq([packets[0]]));
        for cut in 0..bytes.len() {
            if let Some(read) = ReadBlock::read(&bytes[..cut]) {
                assert!(read.packets().count() < packets.len());
            }
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_no_memory_is_asked_for() {
        let mut block = PacketBlock::new(head(PacketContents::Whole));
        let memory = block.bytes.capacity();
        let data = [7; PACKET_BYTES_MAX];
        let fits = u32::try_from((BLOCK_BYTES_MAX - HEAD_BYTES - 18) / (PACKET_BYTES_MAX + 9))
            .expect("few");
        for at in 0..u64::from(fits) + 3 {
            block.push(&packet(at, false, "198.51.100.7:9000", &data));
        }
        assert_eq!((block.count, block.skipped), (fits, 3));
        assert!(block.is_crowded() && block.bytes.capacity() == memory);
        block.discard();
        let bytes = block.take();
        let read = ReadBlock::read(&bytes).expect("a block");
        assert_eq!((read.skipped, read.packets().count()), (fits + 3, 0));
    }
}
