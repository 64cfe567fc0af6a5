//! `allo openapi`: the document of the platform API.

use crate::terminal::line;
use std::process::ExitCode;

/// Prints the document.
pub(crate) fn run() -> ExitCode {
    line(platform::document_text().trim_end());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    /// The committed document is what the code says.
    #[test]
    fn the_committed_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            committed == platform::document_text(),
            "run: allo openapi > docs/openapi.json"
        );
    }
}
