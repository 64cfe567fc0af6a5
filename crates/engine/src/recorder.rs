//! Recordings: one stereo WAV file a call (16 bit, 8 or 16 kHz as the call began; caller left, agent right), written by one
//! thread of its own.
//!
//! A call hands over a second of audio at a time and never waits: when the thread cannot keep up, the block is lost, counted
//! and told. The sizes in the header are corrected with every block, so that the file of a killed process can be played.
//! A full disk stops the recording, not the call.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use catalog::Message;
use media::RecordingFrame;

use crate::limits::RECORDER_QUEUE_MAX;
use crate::log::say;

/// Bytes of the WAV header.
const HEADER_BYTES: u32 = 44;
/// Bytes of one sample of both channels.
const BLOCK_ALIGN: u16 = 4;
/// Samples (of both channels) in one block: a second at 8 kHz.
const BLOCK_SAMPLES: usize = 8_000;
/// While recordings fail, the disk is tried this often: nobody sends calls to a server that is not ready, so no recording would.
const TRY_EVERY: Duration = Duration::from_secs(2);
/// A WAV file cannot count further than 32 bits; the recording ends before.
const DATA_BYTES_MAX: u32 = u32::MAX - 1_048_576;

/// What became of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordingState {
    /// All well so far.
    Running,
    /// No space is left on the disk.
    DiskFull,
    /// Another failure of the file system.
    Failed,
    /// Blocks were lost because the disk is too slow.
    Gaps,
}

impl RecordingState {
    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Running,
            1 => Self::DiskFull,
            2 => Self::Failed,
            _ => Self::Gaps,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Running => 0,
            Self::DiskFull => 1,
            Self::Failed => 2,
            Self::Gaps => 3,
        }
    }

    /// Stored label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Running => "complete",
            Self::DiskFull => "disk_full",
            Self::Failed => "failed",
            Self::Gaps => "gaps",
        }
    }
}

enum Work {
    Open {
        id: u64,
        path: PathBuf,
        rate_hz: u32,
        state: Arc<AtomicU8>,
    },
    Block {
        id: u64,
        samples: Vec<u8>,
    },
    Close {
        id: u64,
        done: Option<tokio::sync::oneshot::Sender<()>>,
    },
}

/// The recorder's thread and the way to it.
#[derive(Clone)]
pub(crate) struct Recorder {
    work: SyncSender<Work>,
    next: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
    directory: Arc<Path>,
}

impl Recorder {
    /// Starts the thread. It ends when the last handle is dropped.
    pub(crate) fn start(directory: &Path) -> io::Result<(Self, JoinHandle<()>)> {
        std::fs::create_dir_all(directory)?;
        let (work, queue) = sync_channel(RECORDER_QUEUE_MAX);
        let failing = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&failing);
        let place = directory.to_owned();
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || run(&queue, &shared, &place))?;
        let recorder = Self {
            work,
            next: Arc::new(AtomicU64::new(0)),
            failing,
            directory: Arc::from(directory),
        };
        Ok((recorder, thread))
    }

    /// True when the last write failed: recordings are not to be relied on.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Begins the recording of a call at a sample rate; the name is the call's id.
    pub(crate) fn open(&self, name: &str, rate_hz: u32) -> Recording {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(AtomicU8::new(RecordingState::Running.code()));
        let path = self.directory.join(format!("{name}.wav"));
        let open = Work::Open {
            id,
            path: path.clone(),
            rate_hz,
            state: Arc::clone(&state),
        };
        if self.work.try_send(open).is_err() {
            state.store(RecordingState::Failed.code(), Ordering::Relaxed);
        }
        Recording {
            id,
            work: self.work.clone(),
            path,
            block: Vec::with_capacity(BLOCK_SAMPLES * 4),
            state,
            open: true,
        }
    }
}

/// The recording of one call.
pub(crate) struct Recording {
    id: u64,
    work: SyncSender<Work>,
    path: PathBuf,
    block: Vec<u8>,
    state: Arc<AtomicU8>,
    open: bool,
}

impl Recording {
    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How it stands.
    pub(crate) fn state(&self) -> RecordingState {
        RecordingState::from_code(self.state.load(Ordering::Relaxed))
    }

    /// Takes 20 ms.
    pub(crate) fn push(&mut self, frame: &RecordingFrame) {
        for (caller, agent) in frame.caller.iter().zip(&frame.agent[..]) {
            self.block.extend_from_slice(&caller.to_le_bytes());
            self.block.extend_from_slice(&agent.to_le_bytes());
        }
        if self.block.len() >= BLOCK_SAMPLES * usize::from(BLOCK_ALIGN) {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let next = Vec::with_capacity(self.block.capacity());
        let samples = std::mem::replace(&mut self.block, next);
        if self
            .work
            .try_send(Work::Block {
                id: self.id,
                samples,
            })
            .is_err()
        {
            self.state
                .store(RecordingState::Gaps.code(), Ordering::Relaxed);
        }
    }

    /// Writes what is left and closes the file; ready when it is on the disk.
    pub(crate) async fn finish(mut self) -> RecordingState {
        self.flush();
        self.open = false;
        let (done, finished) = tokio::sync::oneshot::channel();
        let mut close = Work::Close {
            id: self.id,
            done: Some(done),
        };
        // The queue is full only while the disk is slow; the end of a call has time.
        for _ in 0..100 {
            match self.work.try_send(close) {
                Ok(()) => {
                    let _ = finished.await;
                    break;
                }
                Err(std::sync::mpsc::TrySendError::Full(back)) => {
                    close = back;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(std::sync::mpsc::TrySendError::Disconnected(_)) => break,
            }
        }
        self.state()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.open {
            self.flush();
            let _ = self.work.try_send(Work::Close {
                id: self.id,
                done: None,
            });
        }
    }
}

struct OpenFile {
    file: File,
    rate_hz: u32,
    data_bytes: u32,
    state: Arc<AtomicU8>,
}

fn run(queue: &Receiver<Work>, failing: &AtomicBool, directory: &Path) {
    let mut files: BTreeMap<u64, OpenFile> = BTreeMap::new();
    while let Some(work) = next(queue, failing, directory) {
        match work {
            Work::Open {
                id,
                path,
                rate_hz,
                state,
            } => match open_file(&path, rate_hz, Arc::clone(&state)) {
                Ok(file) => {
                    files.insert(id, file);
                }
                Err(error) => note_failure(&state, failing, &error),
            },
            Work::Block { id, samples } => {
                let Some(open) = files.get_mut(&id) else {
                    continue;
                };
                match open.append(&samples) {
                    Ok(()) => failing.store(false, Ordering::Relaxed),
                    Err(error) => {
                        note_failure(&open.state, failing, &error);
                        files.remove(&id);
                    }
                }
            }
            Work::Close { id, done } => {
                if let Some(open) = files.remove(&id)
                    && let Err(error) = open.file.sync_all()
                {
                    note_failure(&open.state, failing, &error);
                }
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
        }
    }
}

/// The next thing to do; while recordings fail the disk is tried meanwhile.
fn next(queue: &Receiver<Work>, failing: &AtomicBool, directory: &Path) -> Option<Work> {
    loop {
        if !failing.load(Ordering::Relaxed) {
            return queue.recv().ok();
        }
        match queue.recv_timeout(TRY_EVERY) {
            Ok(work) => return Some(work),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if try_disk(directory).is_ok() => {
                failing.store(false, Ordering::Relaxed);
                say(&Message::new("log_recording_recovered"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Writes as much as a second of a recording takes, and removes it.
fn try_disk(directory: &Path) -> io::Result<()> {
    let path = directory.join(".try");
    let written = std::fs::write(&path, vec![0; BLOCK_SAMPLES * usize::from(BLOCK_ALIGN)]);
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

fn note_failure(state: &AtomicU8, failing: &AtomicBool, error: &io::Error) {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    );
    let next = if full {
        RecordingState::DiskFull
    } else {
        RecordingState::Failed
    };
    state.store(next.code(), Ordering::Relaxed);
    failing.store(true, Ordering::Relaxed);
    let message = Message::new("log_recording_failed").with("state", next.label());
    say(&message.with("error", error.to_string()));
}

fn open_file(path: &Path, rate_hz: u32, state: Arc<AtomicU8>) -> io::Result<OpenFile> {
    let mut file = File::create(path)?;
    file.write_all(&header(rate_hz, 0))?;
    Ok(OpenFile {
        file,
        rate_hz,
        data_bytes: 0,
        state,
    })
}

impl OpenFile {
    fn append(&mut self, samples: &[u8]) -> io::Result<()> {
        let added = u32::try_from(samples.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let data_bytes = self.data_bytes.saturating_add(added);
        if data_bytes > DATA_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.seek(SeekFrom::End(0))?;
        self.file.write_all(samples)?;
        self.data_bytes = data_bytes;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header(self.rate_hz, data_bytes))
    }
}

/// A canonical WAV header for PCM, 16 bit, stereo.
pub(crate) fn header(rate_hz: u32, data_bytes: u32) -> [u8; HEADER_BYTES as usize] {
    let mut out = [0; HEADER_BYTES as usize];
    out[0..4].copy_from_slice(b"RIFF");
    out[4..8].copy_from_slice(&(data_bytes + HEADER_BYTES - 8).to_le_bytes());
    out[8..16].copy_from_slice(b"WAVEfmt ");
    out[16..20].copy_from_slice(&16_u32.to_le_bytes());
    out[20..22].copy_from_slice(&1_u16.to_le_bytes());
    out[22..24].copy_from_slice(&2_u16.to_le_bytes());
    out[24..28].copy_from_slice(&rate_hz.to_le_bytes());
    out[28..32].copy_from_slice(&(rate_hz * u32::from(BLOCK_ALIGN)).to_le_bytes());
    out[32..34].copy_from_slice(&BLOCK_ALIGN.to_le_bytes());
    out[34..36].copy_from_slice(&16_u16.to_le_bytes());
    out[36..40].copy_from_slice(b"data");
    out[40..44].copy_from_slice(&data_bytes.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_recording_can_be_read_at_its_end_and_after_a_kill() {
        let directory = tempfile::tempdir().expect("a directory");
        let (recorder, thread) = Recorder::start(directory.path()).expect("a thread");
        let mut recording = recorder.open("call", 8_000);
        let path = recording.path().to_owned();
        for _ in 0..75 {
            recording.push(&RecordingFrame {
                caller: [1_000; 160].into(),
                agent: [-1_000; 160].into(),
            });
        }
        assert_eq!(recording.finish().await, RecordingState::Running);
        let mut reader = hound::WavReader::open(&path).expect("a WAV file");
        assert_eq!(reader.spec().channels, 2);
        assert_eq!(reader.duration(), 75 * 160);
        let first: Vec<i16> = reader
            .samples()
            .take(2)
            .map(|sample| sample.expect("a sample"))
            .collect();
        assert_eq!(first, [1_000, -1_000]);
        drop(recorder);
        thread.join().expect("the thread ends with its last handle");
    }

    #[tokio::test]
    async fn a_recording_that_cannot_be_written_is_told_and_stops_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let (recorder, _thread) = Recorder::start(directory.path()).expect("a thread");
        let mut recording = recorder.open("no/such/directory", 8_000);
        recording.push(&RecordingFrame {
            caller: [0; 160].into(),
            agent: [0; 160].into(),
        });
        assert_eq!(recording.finish().await, RecordingState::Failed);
        assert!(recorder.is_failing());
        // Nothing is recorded, and yet it finds out that the disk can be written again.
        let recovered = async {
            while recorder.is_failing() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(TRY_EVERY * 5, recovered)
            .await
            .expect("the disk is tried");
        assert_eq!(
            recorder.open("next", 8_000).finish().await,
            RecordingState::Running
        );
    }

    #[test]
    fn a_full_disk_has_its_own_name() {
        let state = AtomicU8::new(0);
        note_failure(
            &state,
            &AtomicBool::new(false),
            &io::ErrorKind::StorageFull.into(),
        );
        assert_eq!(
            RecordingState::from_code(state.into_inner()).label(),
            "disk_full"
        );
    }
}
