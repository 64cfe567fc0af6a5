//! Keys of the telephone by SIP INFO: `application/dtmf-relay` both ways, `application/dtmf` read as well.

/// The key of an INFO and how long it was pressed, ms.
pub(crate) fn key_of_info(content_type: &str, body: &[u8]) -> Option<(char, u32)> {
    let text = String::from_utf8_lossy(body);
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let (digit, duration_ms) = if media_type.eq_ignore_ascii_case("application/dtmf-relay") {
        let field = |wanted: &str| {
            text.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                let is_it = name.trim().eq_ignore_ascii_case(wanted);
                is_it.then(|| value.trim())
            })
        };
        let duration = field("Duration").and_then(|value| value.parse().ok());
        (field("Signal")?.chars().next(), duration)
    } else if media_type.eq_ignore_ascii_case("application/dtmf") {
        (text.trim().chars().next(), None)
    } else {
        (None, None)
    };
    let digit = digit?.to_ascii_uppercase();
    media::keypad_tones::is_key(digit).then(|| (digit, duration_ms.unwrap_or_default()))
}

/// The INFO that tells a key.
pub(crate) const KEY_CONTENT_TYPE: &str = "application/dtmf-relay";

/// Its body.
pub(crate) fn info_of_key(digit: char, duration_ms: u32) -> Vec<u8> {
    format!("Signal={digit}\r\nDuration={duration_ms}\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_infos_that_phones_send() {
        let relay = |body: &str| key_of_info("application/dtmf-relay", body.as_bytes());
        assert_eq!(relay("Signal=5\r\nDuration=160\r\n"), Some(('5', 160)));
        assert_eq!(relay("signal= *\nduration = 80"), Some(('*', 80)));
        assert_eq!(relay("Signal=d"), Some(('D', 0)));
        assert_eq!(relay("Duration=160"), None);
        assert_eq!(relay("Signal=x"), None);
        let plain = |body: &str| key_of_info("Application/DTMF; charset=us-ascii", body.as_bytes());
        assert_eq!(plain(" # "), Some(('#', 0)));
        assert_eq!(plain(""), None);
        assert_eq!(key_of_info("text/plain", b"5"), None);
        let body = info_of_key('7', 160);
        assert_eq!(key_of_info(KEY_CONTENT_TYPE, &body), Some(('7', 160)));
    }
}
