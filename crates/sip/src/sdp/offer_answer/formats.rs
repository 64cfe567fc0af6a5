//! What is said about a format (`a=fmtp`) in return for what the peer says: G.729 (RFC 4856, RFC 7261) and AMR-WB (RFC 4867).

use super::CodecOffer;

/// Rates of AMR-WB.
const AMR_WB_MODES: u8 = 9;

/// Our parameters for a peer with these of its own; `None` where the two do not fit together.
#[expect(clippy::option_option, reason = "refused, or taken without a word")]
pub(super) fn answered(ours: &CodecOffer, theirs: Option<&str>) -> Option<Option<String>> {
    let said = theirs.unwrap_or_default();
    match ours.name {
        "G729" => Some(Some(g729(said))),
        "AMR-WB" => amr_wb(ours.parameters, said).map(Some),
        _ => Some(ours.parameters.map(str::to_owned)),
    }
}

/// A value of `a=fmtp`.
fn value<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut each = parameters.split(';').filter_map(|one| one.split_once('='));
    each.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// Silence that is not sent is for who says so: one who says nothing would be taken to mean it (RFC 4856 section 2.1.9).
fn g729(said: &str) -> String {
    let wanted = value(said, "annexb").is_some_and(|said| said.eq_ignore_ascii_case("yes"));
    let word = if wanted { "yes" } else { "no" };
    format!("annexb={word}")
}

/// The layout of packets and the rates are those of the peer (RFC 4867 section 8.3.1); checksums, sorting and interleaving are not done.
fn amr_wb(ours: Option<&str>, said: &str) -> Option<String> {
    let is_on = |name| value(said, name).is_some_and(|value| value != "0");
    if is_on("crc") || is_on("robust-sorting") || value(said, "interleaving").is_some() {
        return None;
    }
    if value(said, "channels").is_some_and(|channels| channels != "1") {
        return None;
    }
    let mut answer = match value(said, "octet-align") {
        None | Some("0") => String::new(),
        Some("1") => "octet-align=1; ".to_owned(),
        Some(_) => return None,
    };
    if let Some(modes) = value(said, "mode-set") {
        let is_mode = |mode: &str| {
            let mode: Result<u8, _> = mode.trim().parse();
            mode.is_ok_and(|mode| mode < AMR_WB_MODES)
        };
        if !modes.split(',').all(is_mode) {
            return None;
        }
        answer.push_str("mode-set=");
        answer.push_str(modes);
        answer.push_str("; ");
    }
    // What we say of the layout is for our offers.
    let ours = ours.unwrap_or_default().split("; ");
    let rest: Vec<&str> = ours.filter(|one| !one.starts_with("octet-align")).collect();
    answer.push_str(&rest.join("; "));
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(name: &'static str, parameters: Option<&'static str>) -> CodecOffer {
        CodecOffer {
            name,
            clock_rate: 16_000,
            channels: 1,
            parameters,
            static_payload: None,
            last_resort: false,
        }
    }

    #[test]
    fn silence_is_left_out_only_for_who_says_so() {
        let g729 = codec("G729", Some("annexb=no"));
        let said = |theirs| answered(&g729, theirs).flatten();
        assert_eq!(said(None).as_deref(), Some("annexb=no"));
        assert_eq!(said(Some("annexb=no")).as_deref(), Some("annexb=no"));
        assert_eq!(said(Some("AnnexB = Yes")).as_deref(), Some("annexb=yes"));
    }

    #[test]
    fn layout_and_rates_are_the_peers_and_what_we_do_not_do_is_refused() {
        let amr = codec("AMR-WB", Some("max-red=0"));
        let said = |theirs| answered(&amr, Some(theirs)).flatten();
        assert_eq!(said("").as_deref(), Some("max-red=0"));
        let volte = said("mode-set=0,1,2;octet-align=1;mode-change-capability=2");
        assert_eq!(
            volte.as_deref(),
            Some("octet-align=1; mode-set=0,1,2; max-red=0")
        );
        assert_eq!(said("crc=0;robust-sorting=0").as_deref(), Some("max-red=0"));
        for refused in [
            "crc=1",
            "octet-align=1;robust-sorting=1",
            "octet-align=1;interleaving=30",
            "octet-align=2",
            "mode-set=0,9",
            "mode-set=x",
            "channels=2",
        ] {
            assert_eq!(answered(&amr, Some(refused)), None, "{refused}");
        }
    }
}
