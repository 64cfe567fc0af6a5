//! Messages out of a byte stream (RFC 3261 section 18.3, RFC 5626 section 3.5.1).
//!
//! On a stream only Content-Length says where a message ends, so a message without it ends the connection: taking it
//! for 0 would read the body as the next message.

use crate::message::{
    LINE_BYTES_MAX, MESSAGE_BYTES_MAX, ParseErrorKind, content_length_of_head, name,
};

/// One unit of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message, to be parsed.
    Message(Vec<u8>),
    /// A double CRLF: to be answered with one CRLF.
    Ping,
    /// A single CRLF: the answer to our ping (or a stray line end).
    Pong,
}

/// The stream cannot be read further: answer 400 to `head` if it is a request, then close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramingError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// The start of the broken message, for [`crate::message::parse_lenient_for_400`].
    pub head: Vec<u8>,
}

/// Collects bytes and gives out frames. Drain with [`Framer::next_frame`] after each [`Framer::push`].
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Bytes of `buffer` already searched for the end of the header fields.
    searched: usize,
    /// Known once the header fields are complete: the size of the whole message.
    message_bytes: Option<usize>,
    /// A single CRLF was just given out as a pong; another one right behind makes it a ping.
    half_ping: bool,
}

impl Framer {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was read. The buffer stays below one message plus this piece as long as frames are drained.
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// Whether a message has begun and is not complete (for the shell's timeout on slow senders).
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next frame; `Ok(None)` when more bytes are needed.
    ///
    /// # Errors
    /// When the stream has no further message boundary: close the connection.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FramingError> {
        if self.message_bytes.is_none() {
            if let Some(frame) = self.keep_alive() {
                return Ok(Some(frame));
            }
            if !self.find_head()? {
                return Ok(None);
            }
        }
        match self.message_bytes {
            Some(size) if self.buffer.len() >= size => {
                self.message_bytes = None;
                self.searched = 0;
                let rest = self.buffer.split_off(size);
                Ok(Some(Frame::Message(std::mem::replace(
                    &mut self.buffer,
                    rest,
                ))))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// CRLFs between messages. A run of them is one frame, so that a flood of pings costs one answer a read.
    fn keep_alive(&mut self) -> Option<Frame> {
        let pairs = self.buffer.chunks_exact(2);
        let count = pairs.take_while(|pair| *pair == b"\r\n").count();
        if count == 0 {
            return None;
        }
        self.buffer.drain(..count * 2);
        self.searched = 0;
        let is_ping = count > 1 || self.half_ping;
        self.half_ping = !is_ping;
        Some(if is_ping { Frame::Ping } else { Frame::Pong })
    }

    /// Looks for the empty line and reads Content-Length; true when the size of the message is known.
    fn find_head(&mut self) -> Result<bool, FramingError> {
        let from = self.searched.saturating_sub(3);
        let found = self.buffer[from..]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        let Some(found) = found else {
            self.searched = self.buffer.len();
            return if self.buffer.len() > HEAD_BYTES_MAX {
                Err(self.fail(ParseErrorKind::TooLarge))
            } else {
                Ok(false)
            };
        };
        self.half_ping = false;
        let head_bytes = from + found + 4;
        let length = match content_length_of_head(&self.buffer[..head_bytes]) {
            Ok(Some(length)) => length,
            Ok(None) => return Err(self.fail(ParseErrorKind::Missing(name::CONTENT_LENGTH))),
            Err(kind) => return Err(self.fail(kind)),
        };
        match head_bytes.checked_add(length) {
            Some(size) if size <= MESSAGE_BYTES_MAX => {
                self.message_bytes = Some(size);
                Ok(true)
            }
            Some(_) | None => Err(self.fail(ParseErrorKind::TooLarge)),
        }
    }

    fn fail(&mut self, kind: ParseErrorKind) -> FramingError {
        let mut head = std::mem::take(&mut self.buffer);
        head.truncate(HEAD_BYTES_MAX);
        self.searched = 0;
        FramingError { kind, head }
    }
}

/// Bytes of the start line and header fields of one message.
const HEAD_BYTES_MAX: usize = MESSAGE_BYTES_MAX - LINE_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nl: 4\r\n\r\nbody";

    /// Pushes the pieces and describes each frame.
    fn frames(pieces: &[&[u8]]) -> Result<Vec<String>, ParseErrorKind> {
        let mut framer = Framer::new();
        let mut seen = Vec::new();
        for piece in pieces {
            framer.push(piece);
            while let Some(frame) = framer.next_frame().map_err(|error| error.kind)? {
                seen.push(match frame {
                    Frame::Message(bytes) => {
                        assert_eq!(bytes, MESSAGE);
                        "message".to_owned()
                    }
                    Frame::Ping => "ping".to_owned(),
                    Frame::Pong => "pong".to_owned(),
                });
            }
        }
        Ok(seen)
    }

    fn error(head: &str) -> ParseErrorKind {
        frames(&[head.as_bytes()]).unwrap_err()
    }

    #[test]
    fn messages_and_keep_alives_in_one_piece() {
        let stream = [MESSAGE, MESSAGE, b"\r\n\r\n", MESSAGE, b"\r\n"].concat();
        assert_eq!(
            frames(&[&stream]).unwrap(),
            ["message", "message", "ping", "message", "pong"]
        );
    }

    #[test]
    fn messages_and_keep_alives_byte_by_byte() {
        let stream = [MESSAGE, b"\r\n\r\n", MESSAGE].concat();
        let pieces: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(
            frames(&pieces).unwrap(),
            ["message", "pong", "ping", "message"]
        );
    }

    #[test]
    fn pattern_04_a_frame_without_content_length_ends_the_stream() {
        assert_eq!(
            error("OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n"),
            ParseErrorKind::Missing(name::CONTENT_LENGTH)
        );
    }

    #[test]
    fn pattern_05_content_length_abuse_ends_the_stream_without_allocation() {
        let invalid = ParseErrorKind::Invalid(name::CONTENT_LENGTH);
        let duplicate = ParseErrorKind::Duplicate(name::CONTENT_LENGTH);
        for (rows, kind) in [
            ("Content-Length: -1", invalid),
            ("Content-Length: +5", invalid),
            ("Content-Length: 5 5", invalid),
            ("Content-Length: 5, 5", invalid),
            ("Content-Length:", invalid),
            ("Content-Length: 100000000000", ParseErrorKind::TooLarge),
            (
                "Content-Length: 18446744073709551615",
                ParseErrorKind::TooLarge,
            ),
            ("Content-Length: 18446744073709551616", invalid),
            ("Content-Length: 65536", ParseErrorKind::TooLarge),
            ("Content-Length: 4\r\nl: 4", duplicate),
            ("l\x0b: 4", ParseErrorKind::ControlCharacter),
        ] {
            let head = format!("OPTIONS sip:a SIP/2.0\r\n{rows}\r\n\r\nbody");
            assert_eq!(error(&head), kind, "{rows}");
        }
    }

    #[test]
    fn a_head_without_end_is_bounded() {
        let mut framer = Framer::new();
        for _ in 0..1_000 {
            framer.push(&[b'a'; 1_000]);
            match framer.next_frame() {
                Ok(None) => assert!(framer.buffer.len() <= HEAD_BYTES_MAX),
                Ok(Some(frame)) => panic!("{frame:?}"),
                Err(error) => {
                    assert_eq!(error.kind, ParseErrorKind::TooLarge);
                    assert!(error.head.len() <= HEAD_BYTES_MAX);
                    return;
                }
            }
        }
        panic!("no bound");
    }

    #[test]
    fn a_broken_head_can_be_answered() {
        let mut framer = Framer::new();
        framer.push(
            b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
            To: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n",
        );
        let error = framer.next_frame().unwrap_err();
        let skeleton = crate::message::parse_lenient_for_400(&error.head).unwrap();
        assert_eq!(skeleton.response(400, None).status, 400);
    }

    #[test]
    fn any_bytes_in_any_pieces_neither_panic_nor_pile_up() {
        let words: &[&[u8]] = &[
            MESSAGE,
            b"\r\n",
            b"\r",
            b"\n",
            b"l: 9",
            b"\r\n\r\n",
            b"\0",
            b" ",
            b"X",
            b"l : 1\r\n",
        ];
        let mut state = 1_u64;
        let mut next = |limit: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 40).unwrap() % limit
        };
        for _ in 0..2_000 {
            let mut framer = Framer::new();
            for _ in 0..next(30) {
                let word = words[next(words.len())];
                framer.push(&word[..=next(word.len())]);
                while let Ok(Some(frame)) = framer.next_frame() {
                    assert_ne!(frame, Frame::Message(Vec::new()));
                }
                assert!(framer.buffer.len() <= MESSAGE_BYTES_MAX);
            }
        }
    }
}
