//! Who may depend on whom, as data, compared with `cargo metadata`.

use super::Finding;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

struct Room {
    name: &'static str,
    /// Pure rooms may not reach a clock, a socket, a runtime or a database.
    pure: bool,
    /// The rooms of ours that this one may name, in `[dependencies]`.
    may_use: &'static [&'static str],
}

const ROOMS: &[Room] = &[
    Room {
        name: "sip",
        pure: true,
        may_use: &[],
    },
    Room {
        name: "media",
        pure: true,
        may_use: &[],
    },
    Room {
        name: "wire",
        pure: true,
        may_use: &[],
    },
    Room {
        name: "call",
        pure: true,
        may_use: &[],
    },
    Room {
        name: "catalog",
        pure: true,
        may_use: &[],
    },
    Room {
        name: "store",
        pure: false,
        may_use: &["call", "catalog"],
    },
    Room {
        name: "agent",
        pure: true,
        may_use: &[],
    },
    Room {
        name: "courier",
        pure: false,
        may_use: &["agent", "store", "call", "catalog"],
    },
    Room {
        name: "engine",
        pure: false,
        may_use: &[
            "sip", "media", "wire", "call", "store", "catalog", "agent", "courier",
        ],
    },
    Room {
        name: "platform",
        pure: false,
        may_use: &["agent", "store", "call", "engine", "courier", "catalog"],
    },
    // A vertical: it eats at the public counter, and only the server's wiring names it.
    Room {
        name: "restaurant",
        pure: false,
        may_use: &["store", "call", "courier", "catalog"],
    },
    Room {
        name: "standin",
        pure: false,
        may_use: &["sip", "media"],
    },
    Room {
        name: "testkit",
        pure: false,
        may_use: &["sip", "media", "wire"],
    },
    Room {
        name: "server",
        pure: false,
        may_use: &[
            "sip",
            "media",
            "wire",
            "call",
            "catalog",
            "store",
            "engine",
            "standin",
            "agent",
            "courier",
            "platform",
            "restaurant",
        ],
    },
    // Its targets are the pure rooms.
    Room {
        name: "fuzz",
        pure: true,
        may_use: &["agent", "call", "media", "sip", "wire"],
    },
    Room {
        name: "xtask",
        pure: false,
        may_use: &[],
    },
];

/// Crates that bring a runtime, a socket or SQL; never under a pure room.
const FORBIDDEN_UNDER_PURE: &[&str] = &[
    "tokio",
    "sqlx",
    "reqwest",
    "hyper",
    "axum",
    "mio",
    "socket2",
    "tokio-websockets",
    "rustls",
    "chrono",
];

/// (crate, the only rooms that may name it directly)
const WRAPPED: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("tokio-websockets", &["engine", "standin", "testkit"]),
    ("rustls", &["engine", "server", "standin", "courier"]),
    ("reqwest", &["courier"]),
    ("rmcp", &["courier"]),
    ("str0m", &["engine"]),
    ("x509-parser", &["engine"]),
    ("rustix", &["engine", "server"]),
    ("axum", &["server", "platform", "restaurant"]),
    ("anyhow", &["server", "xtask"]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let mut findings = Vec::new();
    for package in &metadata.packages {
        check_package(package, &mut findings);
    }
    Ok(findings)
}

fn check_package(package: &Package, findings: &mut Vec<Finding>) {
    let mut breach = |text: String| {
        findings.push(Finding {
            path: format!("crates/{}/Cargo.toml", package.name),
            line: 0,
            rule: "walls",
            text,
        });
    };
    let Some(room) = ROOMS.iter().find(|room| room.name == package.name) else {
        breach(format!(
            "room `{}` is not in the table of xtask/src/tidy/walls.rs",
            package.name
        ));
        return;
    };
    for dependency in package
        .dependencies
        .iter()
        .filter(|d| d.kind.as_deref() != Some("dev"))
    {
        let name = dependency.name.as_str();
        if ROOMS.iter().any(|other| other.name == name) && !room.may_use.contains(&name) {
            breach(format!("`{}` may not depend on `{name}`", room.name));
        }
        if room.pure && FORBIDDEN_UNDER_PURE.contains(&name) {
            breach(format!(
                "the pure room `{}` may not depend on `{name}`",
                room.name
            ));
        }
        if let Some((_, rooms)) = WRAPPED.iter().find(|(wrapped, _)| *wrapped == name)
            && !rooms.contains(&room.name)
        {
            breach(format!("only {rooms:?} may name `{name}`"));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn pattern_50_the_dns_library_is_past_the_repair_and_dnssec_is_off() {
        let lock = include_str!("../../../Cargo.lock");
        let mut found = 0;
        for package in lock.split("[[package]]") {
            if !package.contains("name = \"hickory-") {
                continue;
            }
            let version = package.split('"').nth(3).unwrap_or_default();
            let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0_u32));
            let mut next = || parts.next().unwrap_or(0);
            assert!((next(), next(), next()) >= (0, 26, 1), "{package}");
            found += 1;
        }
        assert!(found > 0, "no such library in Cargo.lock");
        let features = include_str!("../../../Cargo.toml");
        let row = features
            .lines()
            .find(|row| row.starts_with("hickory-resolver"))
            .unwrap_or_default();
        assert!(
            row.contains("default-features = false") && !row.contains("dnssec"),
            "{row}"
        );
    }
}
