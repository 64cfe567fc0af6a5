//! What is written down of an agent's processes, before anything is done: so that a manager that was killed at any moment finds
//! what it began, and begins nothing twice.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::system;

const FILE: &str = "processes.json";
/// Largest file that is read, bytes.
const BYTES_MAX: u64 = 1024 * 1024;

/// Which process of an agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// The agent itself.
    App,
    /// The bridge of this line.
    Bridge(String),
}

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It is about to be begun, or was: nobody knows its number.
    Begun,
    /// It runs.
    Runs,
    /// It is to end.
    Ends,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) place: Place,
    pub(crate) port: u16,
    /// Where a bridge speaks SIP; 0: nowhere.
    #[serde(default)]
    pub(crate) sip_port: u16,
    /// Random, in its environment.
    pub(crate) mark: String,
    /// Of everything that it was begun with.
    pub(crate) like: String,
    pub(crate) stage: Stage,
    pub(crate) pid: u32,
    /// Ticks since the machine's start.
    pub(crate) began: u64,
}

/// The processes of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Books {
    /// What its bridges say to be let in.
    pub(crate) token: String,
    pub(crate) records: Vec<Record>,
}

impl Books {
    /// What is written in this folder; nothing where nothing is, or where it cannot be read.
    pub(crate) fn read(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let is_small = std::fs::metadata(&path).is_ok_and(|file| file.len() <= BYTES_MAX);
        let text = is_small.then(|| std::fs::read_to_string(&path).ok());
        text.flatten()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// Writes it whole, or not at all; it is on the disk afterwards.
    pub(crate) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let path = folder.join(FILE);
        let partial = path.with_extension("json.new");
        let text = serde_json::to_vec(self)?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&partial, &path)?;
        std::fs::File::open(folder)?.sync_all()
    }

    /// Compares what is written with what there is: processes whose number was not written yet are found by their mark; what is
    /// gone, or is another process by now, is struck out.
    pub(crate) fn reconcile(&mut self) {
        let unknown: Vec<String> = self
            .records
            .iter()
            .filter(|record| record.stage == Stage::Begun)
            .map(|record| record.mark.clone())
            .collect();
        let found = system::find(&unknown);
        for record in &mut self.records {
            if let Some((pid, began)) = found.get(&record.mark) {
                (record.pid, record.began, record.stage) = (*pid, *began, Stage::Runs);
            }
        }
        self.records.retain(|record| {
            record.stage != Stage::Begun
                && system::began(record.pid) == Some(record.began)
                && system::carries(record.pid, &record.mark)
        });
    }
}

/// The folder of an agent: its id where that is a plain name.
pub(crate) fn folder(root: &Path, agent: &str) -> PathBuf {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let name: String = agent
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(100)
        .collect();
    root.join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn record(place: Place, mark: &str, stage: Stage, child: Option<&Child>) -> Record {
        let pid = child.map_or(0, Child::id);
        Record {
            place,
            port: 5050,
            sip_port: 0,
            mark: mark.to_owned(),
            like: String::new(),
            stage,
            pid,
            began: system::began(pid).unwrap_or_default(),
        }
    }

    fn process(mark: &str) -> Child {
        let child = Command::new("sleep")
            .arg("60")
            .env(super::super::orders::VARIABLE, mark)
            .spawn()
            .unwrap();
        while !system::carries(child.id(), mark) {
            std::thread::yield_now();
        }
        child
    }

    #[test]
    fn a_manager_that_was_killed_finds_each_process_once_whenever_it_was_killed() {
        let folder = tempfile::tempdir().unwrap();
        let written = |books: &Books| {
            books.write(folder.path()).unwrap();
            let mut again = Books::read(folder.path());
            again.reconcile();
            again
        };
        let mut books = Books {
            token: "t".to_owned(),
            records: Vec::new(),
        };
        // Before the word of it: nothing runs, nothing is known.
        assert_eq!(written(&books), books);
        // After the word, before the deed.
        books.records = vec![record(Place::App, "mark-window", Stage::Begun, None)];
        assert_eq!(written(&books).records, []);
        // After the deed, before its number was written: it is taken as it is, not begun again.
        let mut app = process("mark-window");
        let mut expected = record(Place::App, "mark-window", Stage::Runs, Some(&app));
        assert_eq!(written(&books).records, [expected.clone()]);
        // After its number was written; what ends goes on ending.
        for stage in [Stage::Runs, Stage::Ends] {
            expected.stage = stage;
            books.records = vec![expected.clone()];
            assert_eq!(written(&books).records, [expected.clone()]);
        }
        // Another process has its number: it began at another time, or without the mark.
        let mut other = process("mark-other");
        let mut stolen = expected.clone();
        stolen.pid = other.id();
        books.records = vec![stolen.clone()];
        assert_eq!(written(&books).records, []);
        stolen.began = system::began(other.id()).unwrap();
        books.records = vec![stolen];
        assert_eq!(written(&books).records, []);
        // It is gone; nobody has waited for it.
        books.records = vec![expected];
        app.kill().unwrap();
        let gone = || system::began(app.id()).is_none();
        while !gone() {
            std::thread::yield_now();
        }
        assert_eq!(written(&books).records, []);
        for child in [&mut app, &mut other] {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    #[test]
    fn half_a_file_is_no_file_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let books = Books {
            token: "t".to_owned(),
            records: vec![record(
                Place::Bridge("l".to_owned()),
                "m",
                Stage::Runs,
                None,
            )],
        };
        books.write(folder.path()).unwrap();
        assert_eq!(Books::read(folder.path()), books);
        let path = folder.path().join(FILE);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::write(&path, &std::fs::read(&path).unwrap()[..20]).unwrap();
        assert_eq!(Books::read(folder.path()), Books::default());
        assert_eq!(
            super::folder(Path::new("/x"), "../../etc"),
            Path::new("/x/______etc")
        );
    }
}
