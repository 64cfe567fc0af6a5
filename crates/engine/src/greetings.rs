//! First words whose sound was made by the engine in an earlier call, kept in files so that the next caller hears them at once.
//!
//! A file belongs to one agent, engine, voice, speed, text and form of audio, and is named by a digest of them all: neither names nor words
//! of a caller stand in a name. It is written beside its place and renamed, and carries a digest of its content; what does not
//! fit is deleted and made again. Files are bounded in size, number and age; the one that was not used for longest goes first.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use catalog::Message;
use media::Form;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::limits::{GREETING_BYTES_MAX, GREETING_BYTES_MIN, GREETINGS_KEPT, GREETINGS_MAX};
use crate::log::say;

/// First bytes of a file; the number is that of its form.
const MAGIC: &[u8; 8] = b"ALLOGR1\n";
const DIGEST_BYTES: usize = 32;
/// The files lie on a disk, and a call waits for them.
const FOUND_WITHIN: Duration = Duration::from_millis(250);
/// Files that are written at the same time; a further one is made by another call.
const WRITERS_MAX: usize = 2;

/// What a sound belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Voice<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) agent: &'a str,
    /// Address of the engine.
    pub(crate) engine: &'a str,
    pub(crate) model: &'a str,
    pub(crate) voice: &'a str,
    pub(crate) speed: Option<f32>,
    pub(crate) form: Form,
}

/// Name of a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key([u8; DIGEST_BYTES]);

impl Key {
    /// Of these words in this voice.
    pub(crate) fn new(voice: &Voice<'_>, words: &str) -> Self {
        let speed = voice.speed.map(|speed| speed.to_string());
        let parts = [
            voice.tenant,
            voice.agent,
            voice.engine,
            voice.model,
            voice.voice,
            speed.as_deref().unwrap_or_default(),
            voice.form.name(),
            words,
        ];
        let mut digest = Sha256::new();
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            digest.update(length.to_le_bytes());
            digest.update(part.as_bytes());
        }
        Self(digest.finalize().into())
    }

    fn file_name(self) -> String {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hex}.greeting")
    }
}

/// The files.
#[derive(Clone, Debug)]
pub(crate) struct Greetings {
    directory: Arc<Path>,
    writers: Arc<Semaphore>,
}

impl Greetings {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: Arc::from(directory),
            writers: Arc::new(Semaphore::new(WRITERS_MAX)),
        }
    }

    /// The sound of some words, where it was made.
    pub(crate) async fn find(&self, key: Key) -> Option<Vec<u8>> {
        let path = self.directory.join(key.file_name());
        let found = tokio::task::spawn_blocking(move || read(&path, key));
        // A disk that hangs costs the kept sound, not the call.
        let found = tokio::time::timeout(FOUND_WITHIN, found).await;
        found.ok()?.ok().flatten()
    }

    /// Keeps a sound, beside the call that made it.
    pub(crate) fn keep(&self, key: Key, audio: Vec<u8>) {
        let Ok(turn) = Arc::clone(&self.writers).try_acquire_owned() else {
            return;
        };
        let directory = Arc::clone(&self.directory);
        tokio::task::spawn_blocking(move || {
            let kept = write(&directory, key, &audio).and_then(|()| tidy(&directory));
            if let Err(error) = kept {
                say(&Message::new("log_greeting_not_kept").with("error", error.to_string()));
            }
            drop(turn);
        });
    }
}

fn digest(key: Key, audio: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut digest = Sha256::new();
    digest.update(key.0);
    digest.update(audio);
    digest.finalize().into()
}

fn read(path: &Path, key: Key) -> Option<Vec<u8>> {
    let mut file = File::options().read(true).write(true).open(path).ok()?;
    let mut content = Vec::new();
    let longest = MAGIC.len() + DIGEST_BYTES + GREETING_BYTES_MAX + 1;
    let whole = (&mut file)
        .take(u64::try_from(longest).unwrap_or(u64::MAX))
        .read_to_end(&mut content)
        .is_ok();
    let audio = whole.then(|| sound(&content, key)).flatten();
    if audio.is_some() {
        // Who was used last is known by the time of its file.
        let _ = file.set_modified(SystemTime::now());
    } else {
        let _ = fs::remove_file(path);
        say(&Message::new("log_greeting_discarded"));
    }
    audio
}

/// The sound in a file, when it is what it says.
fn sound(content: &[u8], key: Key) -> Option<Vec<u8>> {
    let (known, audio) = content
        .strip_prefix(MAGIC)?
        .split_at_checked(DIGEST_BYTES)?;
    let fits = (GREETING_BYTES_MIN..=GREETING_BYTES_MAX).contains(&audio.len());
    (fits && known == digest(key, audio)).then(|| audio.to_vec())
}

fn write(directory: &Path, key: Key, audio: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let name = key.file_name();
    // The number of the writer: two calls may make the same sound at once.
    let unfinished = directory.join(format!("{name}.{}", uuid::Uuid::now_v7()));
    let written = File::create(&unfinished).and_then(|mut file| {
        file.write_all(MAGIC)?;
        file.write_all(&digest(key, audio))?;
        file.write_all(audio)?;
        file.sync_all()?;
        fs::rename(&unfinished, directory.join(name))
    });
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Deletes what is old, what is too much, and what a crash left unfinished.
fn tidy(directory: &Path) -> io::Result<()> {
    let now = SystemTime::now();
    let mut kept: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let used = entry.metadata()?.modified()?;
        let age = now.duration_since(used).unwrap_or_default();
        let finished = path.extension().is_some_and(|kind| kind == "greeting");
        let lifetime = if finished {
            GREETINGS_KEPT
        } else {
            Duration::from_secs(60)
        };
        if age > lifetime {
            // Another writer may have been quicker.
            let _ = fs::remove_file(path);
        } else if finished {
            kept.push((used, path));
        }
    }
    kept.sort();
    let surplus = kept.len().saturating_sub(GREETINGS_MAX);
    for (_, path) in kept.into_iter().take(surplus) {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::Law;

    fn voice() -> Voice<'static> {
        Voice {
            tenant: "t",
            agent: "a",
            engine: "wss://engine",
            model: "m",
            voice: "cedar",
            speed: Some(1.1),
            form: Form::G711(Law::Pcma),
        }
    }

    #[test]
    fn each_part_of_a_voice_makes_another_name() {
        let key = Key::new(&voice(), "Bonjour");
        assert_eq!(key, Key::new(&voice(), "Bonjour"));
        let others = [
            Key::new(&voice(), "Bonjour !"),
            Key::new(
                &Voice {
                    tenant: "ta",
                    agent: "",
                    ..voice()
                },
                "Bonjour",
            ),
            Key::new(
                &Voice {
                    engine: "",
                    ..voice()
                },
                "Bonjour",
            ),
            Key::new(
                &Voice {
                    model: "",
                    ..voice()
                },
                "Bonjour",
            ),
            Key::new(
                &Voice {
                    voice: "",
                    ..voice()
                },
                "Bonjour",
            ),
            Key::new(
                &Voice {
                    speed: None,
                    ..voice()
                },
                "Bonjour",
            ),
            Key::new(
                &Voice {
                    form: Form::G711(Law::Pcmu),
                    ..voice()
                },
                "Bonjour",
            ),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(*other, key, "{index}");
        }
    }

    #[tokio::test]
    async fn a_sound_is_found_after_a_restart_and_a_broken_file_is_made_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let key = Key::new(&voice(), "Bonjour");
        let audio = vec![0x55; 8_000];
        write(directory.path(), key, &audio).expect("written");
        let greetings = Greetings::new(directory.path());
        assert_eq!(greetings.find(key).await, Some(audio.clone()));
        let path = directory.path().join(key.file_name());
        for broken in [&b"ALLOGR1\n"[..], b"nonsense", &[]] {
            fs::write(&path, broken).expect("written");
            assert_eq!(greetings.find(key).await, None);
            assert!(!path.exists(), "it is made again");
        }
        // The sound of other words under this name.
        write(directory.path(), Key::new(&voice(), "Autre"), &audio).expect("written");
        let other = directory
            .path()
            .join(Key::new(&voice(), "Autre").file_name());
        fs::rename(other, &path).expect("renamed");
        assert_eq!(greetings.find(key).await, None);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let now = SystemTime::now();
        let put = |name: String, age_s: u64| {
            let file = File::create(directory.path().join(name)).expect("a file");
            file.set_modified(now - Duration::from_secs(age_s))
                .expect("a time");
        };
        for number in 0..GREETINGS_MAX + 5 {
            put(
                format!("{number}.greeting"),
                1_000 + u64::try_from(number).expect("few"),
            );
        }
        put("old.greeting".to_owned(), GREETINGS_KEPT.as_secs() + 60);
        put("x.greeting.unfinished".to_owned(), 3_600);
        tidy(directory.path()).expect("tidied");
        let left = fs::read_dir(directory.path()).expect("a list").count();
        assert_eq!(left, GREETINGS_MAX);
        assert!(directory.path().join("0.greeting").exists());
        let oldest = format!("{}.greeting", GREETINGS_MAX + 4);
        assert!(!directory.path().join(oldest).exists());
    }
}
