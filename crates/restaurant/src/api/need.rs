//! What a route asks of its caller.

use super::limits::{BODY_BYTES_MAX, IMPORT_BYTES_MAX};
use super::who::Role;

/// What a route asks. There is no way to register one without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Least role of a person or key; `None`: anyone, without a credential.
    pub role: Option<Role>,
    /// Whether the voice side may come in by its signature.
    pub voice: bool,
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
}

/// A route with what it needs.
#[derive(Clone, Debug)]
pub struct RouteNeed {
    /// `GET` and so on.
    pub method: http::Method,
    /// Its path.
    pub path: &'static str,
    /// What it needs.
    pub need: Need,
}

impl Need {
    const fn of(role: Role) -> Self {
        Self {
            role: Some(role),
            voice: false,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }

    /// Reading, by anyone of the account.
    pub const fn read() -> Self {
        Self::of(Role::Viewer)
    }

    /// The daily work: orders, reservations, messages.
    pub const fn work() -> Self {
        Self::of(Role::Operator)
    }

    /// What the restaurant is made of: its menu, hours, tables, lines.
    pub const fn change() -> Self {
        Self::of(Role::Admin)
    }

    /// Anyone.
    pub const fn open() -> Self {
        Self {
            role: None,
            voice: false,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }

    /// The same, and the voice side by its signature.
    #[must_use]
    pub const fn or_voice(mut self) -> Self {
        self.voice = true;
        self
    }

    /// The same with the body of an import.
    #[must_use]
    pub const fn import(mut self) -> Self {
        self.body_bytes_max = IMPORT_BYTES_MAX;
        self
    }
}
