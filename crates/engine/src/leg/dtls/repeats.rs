//! Which datagrams only repeat what a source has said before.
//!
//! A peer repeats its flight when it did not get ours. `rtc-dtls` 0.21 stops its own repetitions at any handshake datagram that brings it
//! no further, a repeated one too: two losses in a row would leave both sides waiting. So what is only repeated is kept from it
//! while it repeats by itself.

/// Messages that are remembered of a source: the longest flight in the smallest fragments is a fraction of it.
const SEEN_MAX: usize = 64;
/// Bytes of a record's header and of a handshake message's.
const RECORD_BYTES: usize = 13;
const MESSAGE_BYTES: usize = 12;

/// Kind, number and place of a fragment.
type Fragment = [u8; 6];

/// What one source has said in clear.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<Fragment>);

impl Seen {
    /// Takes note of a datagram; true where all of it was there before. `server`: the first hello is asked for again by its repetition.
    pub(super) fn is_repeated(&mut self, data: &[u8], server: bool) -> bool {
        let mut repeated = true;
        let mut rest = data;
        while let Some((header, body)) = rest.split_first_chunk::<RECORD_BYTES>() {
            let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let Some((record, next)) = body.split_at_checked(len) else {
                return false;
            };
            rest = next;
            let in_clear = header[0] == 22 && header[3..5] == [0, 0];
            let Some(message) = record.first_chunk::<MESSAGE_BYTES>().filter(|_| in_clear) else {
                repeated = false;
                continue;
            };
            let number = [message[4], message[5]];
            let fragment = [
                message[0], number[0], number[1], message[6], message[7], message[8],
            ];
            let known = self.0.contains(&fragment);
            if !known && self.0.len() < SEEN_MAX {
                self.0.push(fragment);
            }
            repeated &= known && !(server && number == [0, 0]);
        }
        repeated && !data.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, message: u8, number: u8) -> Vec<u8> {
        let mut record = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 9, 0, 13];
        record.extend([message, 0, 0, 1, 0, number, 0, 0, 0, 0, 0, 1, 7]);
        record
    }

    #[test]
    fn a_flight_is_repeated_when_every_message_of_it_is() {
        let mut seen = Seen::default();
        let hello = record(22, 0, 1, 1);
        let certificate = record(22, 0, 11, 2);
        assert!(!seen.is_repeated(&hello, true));
        assert!(seen.is_repeated(&hello, true));
        let both = [hello.clone(), certificate.clone()].concat();
        assert!(!seen.is_repeated(&both, true), "half of it is new");
        assert!(seen.is_repeated(&both, true));
        // What ends a flight is told each time: the library answers it with its own last one.
        let ending = [
            certificate.clone(),
            record(20, 0, 1, 0),
            record(22, 1, 20, 3),
        ]
        .concat();
        assert!(!seen.is_repeated(&ending, true) && !seen.is_repeated(&ending, true));
        assert!(!seen.is_repeated(&certificate[..20], true), "cut");
        assert!(!seen.is_repeated(&[], true));
    }

    #[test]
    fn the_first_hello_counts_each_time() {
        let mut seen = Seen::default();
        let first = record(22, 0, 1, 0);
        assert!(!seen.is_repeated(&first, true) && !seen.is_repeated(&first, true));
        assert!(seen.is_repeated(&first, false));
    }
}
