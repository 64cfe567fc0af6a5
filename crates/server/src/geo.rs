//! `allo geo import`: newer postal codes instead of the embedded ones.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use catalog::Message;
use clap::{Args, Subcommand};

use crate::cli::{ConfigArguments, settings_or_report};
use crate::config;
use crate::terminal::Terminal;
use crate::wiring;

/// Bytes of a file that is read: GeoNames' file of all countries is a tenth of it.
const FILE_BYTES_MAX: u64 = 1 << 30;

#[derive(Debug, Subcommand)]
pub(crate) enum GeoCommand {
    /// Read postal codes (GeoNames' own files such as FR.txt, or lines of postcode, town, latitude, longitude, by tabs) in the place
    /// of the embedded ones of France. The back office reads them at its next start.
    Import(ImportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Text files; together they are all the places that are known afterwards.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Carries the command out.
pub(crate) fn run(command: &GeoCommand) -> ExitCode {
    let GeoCommand::Import(arguments) = command;
    let settings = match settings_or_report(&arguments.config) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let terminal = Terminal::new(config::language(&settings));
    let target = config::places_file(&settings);
    match import(&arguments.files, &target) {
        Ok(count) => {
            let message = Message::new("geo_imported")
                .with("count", count)
                .with("path", target.display().to_string());
            terminal.say(&message);
            ExitCode::SUCCESS
        }
        Err((path, cause)) => {
            let message = Message::new("geo_failed")
                .with("path", path.display().to_string())
                .with("cause", cause);
            terminal.complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn import(files: &[PathBuf], target: &Path) -> Result<usize, (PathBuf, String)> {
    let mut text = String::new();
    for path in files {
        let failed = |cause: String| (path.clone(), cause);
        let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
        if size.len() > FILE_BYTES_MAX {
            return Err(failed(format!("> {FILE_BYTES_MAX} B")));
        }
        let read = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        // Each by itself, so that a bad line is told with its own file and number.
        wiring::pack_places(&read).map_err(failed)?;
        text.push_str(&read);
        text.push('\n');
    }
    let failed = |cause: String| (target.to_owned(), cause);
    let (count, packed) = wiring::pack_places(&text).map_err(failed)?;
    write(target, &packed).map_err(|error| failed(error.to_string()))?;
    Ok(count)
}

/// Whole or not at all: a server may be starting.
fn write(target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let parent = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(directory)?;
    let beside = target.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, target)
}
