//! What the server makes for itself on first start, readable by its owner alone: the admin token and a self-signed
//! certificate for SIP over TLS.

use engine::config::{Secret, TlsIdentity};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The administration token: from its file, made where there is none.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn admin_token(data_dir: &Path) -> std::io::Result<String> {
    let path = data_dir.join("admin-token");
    match std::fs::read_to_string(&path) {
        Ok(token) if token.trim().len() >= 16 => Ok(token.trim().to_owned()),
        Ok(_) => make_token(&path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make_token(&path),
        Err(error) => Err(error),
    }
}

fn make_token(path: &Path) -> std::io::Result<String> {
    // A random UUID carries 122 random bits: three of them are more than the 256 that a key has.
    let token: String = std::iter::repeat_with(|| uuid::Uuid::new_v4().simple().to_string())
        .take(3)
        .collect();
    write_private(path, token.as_bytes())?;
    Ok(token)
}

/// The identity of the SIP TLS listener: from the data directory, made where there is none.
///
/// # Errors
/// When a file cannot be read or written, or the certificate cannot be made.
pub(crate) fn self_signed(data_dir: &Path, host: Option<&str>) -> std::io::Result<TlsIdentity> {
    let (certificate_path, key_path) = (
        data_dir.join("sip-certificate.pem"),
        data_dir.join("sip-key.pem"),
    );
    if let (Ok(chain_pem), Ok(key_pem)) = (
        std::fs::read(&certificate_path),
        std::fs::read_to_string(&key_path),
    ) {
        return Ok(TlsIdentity {
            chain_pem,
            key_pem: Secret::new(key_pem),
        });
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    names.extend(host.map(str::to_owned));
    let made = rcgen::generate_simple_self_signed(names).map_err(std::io::Error::other)?;
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    write_private(&key_path, key.as_bytes())?;
    write_private(&certificate_path, chain.as_bytes())?;
    Ok(TlsIdentity {
        chain_pem: chain.into_bytes(),
        key_pem: Secret::new(key),
    })
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn token_and_key_are_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let token = admin_token(dir.path()).unwrap();
        assert!(token.len() * 4 * 122 / 128 >= 256, "256 random bits");
        assert_eq!(admin_token(dir.path()).unwrap(), token);
        let identity = self_signed(dir.path(), Some("sip.example.org")).unwrap();
        assert_eq!(
            self_signed(dir.path(), None).unwrap().chain_pem,
            identity.chain_pem
        );
        for name in ["admin-token", "sip-key.pem"] {
            let mode = std::fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
