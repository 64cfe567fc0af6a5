//! Where the master key comes from: the setting, or a file in the data directory that its owner alone may read.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::cipher::{MasterKey, SecretText};
use super::error::VaultError;

/// Name of the key file in the data directory.
pub const KEY_FILE: &str = "encryption-key";

/// Name of the file that holds the new key while keys are exchanged, and after it where the old one is a setting.
pub const NEXT_KEY_FILE: &str = "encryption-key.new";

/// Permission bits that a key file must not have.
const OTHERS: u32 = 0o077;

/// A key file is 64 digits and a line end; more is not read.
const FILE_BYTES_MAX: u64 = 256;

/// Where the key may be.
#[derive(Debug, Clone)]
pub struct KeySource {
    /// The setting `server.encryption_key`, where there is one. It comes before the file.
    pub setting: Option<SecretText>,
    /// The directory of the key file.
    pub data_dir: PathBuf,
}

impl KeySource {
    /// The key file.
    pub fn file(&self) -> PathBuf {
        self.data_dir.join(KEY_FILE)
    }

    /// The file of the next key.
    pub fn next_file(&self) -> PathBuf {
        self.data_dir.join(NEXT_KEY_FILE)
    }

    /// Whether what is there can be read: the setting, and the files where they are.
    ///
    /// # Errors
    /// [`VaultError::BadSetting`], [`VaultError::BadFile`], [`VaultError::OpenFile`], [`VaultError::File`].
    pub fn check(&self) -> Result<(), VaultError> {
        self.setting_key()?;
        read(&self.file())?;
        read(&self.next_file())?;
        Ok(())
    }

    pub(super) fn setting_key(&self) -> Result<Option<MasterKey>, VaultError> {
        self.setting
            .as_ref()
            .map(|text| MasterKey::from_hex(text.expose()).ok_or(VaultError::BadSetting))
            .transpose()
    }
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> VaultError + '_ {
    move |source| VaultError::File {
        path: path.to_owned(),
        source,
    }
}

/// The key of a file; `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<MasterKey>, VaultError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file_error(path)(source)),
    };
    // Of the opened file, not of the name: nobody can exchange one for the other in between.
    let mode = file
        .metadata()
        .map_err(file_error(path))?
        .permissions()
        .mode();
    if mode & OTHERS != 0 {
        return Err(VaultError::OpenFile {
            path: path.to_owned(),
            mode: mode & 0o777,
        });
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    let bad = || VaultError::BadFile {
        path: path.to_owned(),
    };
    match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
        Ok(_) => MasterKey::from_hex(&text).map(Some).ok_or_else(bad),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(bad()),
        Err(source) => Err(file_error(path)(source)),
    }
}

/// Makes the key file with this key, or returns the key that another process put there first. It is on the disk, whole, before
/// anything is encrypted with it.
pub(super) fn make(path: &Path, key: &MasterKey) -> Result<MasterKey, VaultError> {
    let aside = write_aside(path, key)?;
    // A link, because a rename would replace the other's file.
    let linked = std::fs::hard_link(&aside, path);
    std::fs::remove_file(&aside).map_err(file_error(&aside))?;
    match linked {
        Ok(()) => {
            sync_directory(path)?;
            Ok(key.clone())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            read(path)?.ok_or_else(|| file_error(path)(error))
        }
        Err(source) => Err(file_error(path)(source)),
    }
}

/// Writes the key file whatever was there.
pub(super) fn replace(path: &Path, key: &MasterKey) -> Result<(), VaultError> {
    let aside = write_aside(path, key)?;
    rename(&aside, path)
}

/// Renames a key file; durable when it returns.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), VaultError> {
    std::fs::rename(from, to).map_err(file_error(to))?;
    sync_directory(to)
}

/// Brings the files in line with the key that the database has: the key file becomes the one of this key. Where the key is a
/// setting that says another, the file that the operator must take the new one from.
pub(super) fn settle(source: &KeySource, key: &MasterKey) -> Result<Option<PathBuf>, VaultError> {
    let (file, next_file) = (source.file(), source.next_file());
    let next = read(&next_file)?;
    if let Some(setting) = source.setting_key()? {
        if setting == *key {
            return Ok(None);
        }
        if next.as_ref() != Some(key) {
            replace(&next_file, key)?;
        }
        return Ok(Some(next_file));
    }
    if read(&file)?.as_ref() == Some(key) {
        return Ok(None);
    }
    if next.as_ref() != Some(key) {
        replace(&file, key)?;
    } else if let Err(error) = rename(&next_file, &file)
        // Another process may have done the same at the same time.
        && read(&file)?.as_ref() != Some(key)
    {
        return Err(error);
    }
    Ok(None)
}

fn write_aside(path: &Path, key: &MasterKey) -> Result<PathBuf, VaultError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", uuid::Uuid::now_v7().simple()));
    let aside = PathBuf::from(name);
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|mut file| {
            file.write_all(key.to_hex().expose().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
    written.map_err(file_error(&aside))?;
    Ok(aside)
}

fn sync_directory(path: &Path) -> Result<(), VaultError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(file_error(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_FILE);
        assert_eq!(read(&path).unwrap(), None);
        let first = make(&path, &MasterKey::generate()).unwrap();
        assert_eq!(make(&path, &MasterKey::generate()).unwrap(), first);
        assert_eq!(read(&path).unwrap(), Some(first));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[test]
    fn a_file_that_others_may_read_or_that_holds_no_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_FILE);
        make(&path, &MasterKey::generate()).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o601, 0o644] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                matches!(read(&path), Err(VaultError::OpenFile { mode: found, .. }) if found == mode),
                "{mode:o}"
            );
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read(&path).unwrap().is_some());
        for text in [&b""[..], b"1234", b"\xff\xfe", &[b'a'; 1000]] {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(read(&path), Err(VaultError::BadFile { .. })));
        }
    }
}
