//! The web pages become part of the binary: a table of the files of `ui/dist`, where it is there.
//!
//! A path that does not exist would make cargo build this crate each time. So the folder is named only where it is there; the
//! script that makes the pages touches this file at its end, which is how the first ones are noticed. A debug build reads the files
//! from the disk: its table is empty.

use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .unwrap_or_default()
    };
    let pages = variable("CARGO_MANIFEST_DIR").join("../../ui/dist");
    let mut files = Vec::new();
    if pages.is_dir() {
        println!("cargo:rerun-if-changed={}", pages.display());
        if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
            collect(&pages, &pages, &mut files)?;
        }
    }
    files.sort();
    let rows: String = files
        .iter()
        .map(|(name, path)| format!("    ({name:?}, include_bytes!({path:?})),\n"))
        .collect();
    let table = format!("&[\n{rows}]\n");
    std::fs::write(variable("OUT_DIR").join("pages.rs"), table)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.push((name.to_string_lossy().into_owned(), path.canonicalize()?));
        }
    }
    Ok(())
}
