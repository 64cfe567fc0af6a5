//! What a route asks of its caller, and what a caller may do: roles, areas, scopes.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a credential may do at most. Each role includes the ones before it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, and acts on calls, FAQ entries and blocked numbers.
    Operator,
    /// Changes everything but credentials of its own rank and above.
    Admin,
    /// Everything.
    Owner,
}

impl Role {
    /// The stored and sent spelling.
    pub fn label(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            "owner" => Ok(Self::Owner),
            _ => Err(()),
        }
    }
}

macro_rules! areas {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)+) => {
        /// A part of the API; scopes of keys are spelt `area:read` and `area:write`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Area {
            $($(#[$doc])* $name,)+
        }

        impl Area {
            /// Every area.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The spelling in scopes.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

areas! {
    /// Accounts of the platform (tenants).
    Accounts = "accounts",
    /// Final customers and their billing.
    Customers = "customers",
    /// Agents, their tools and versions.
    Agents = "agents",
    /// Telephone lines.
    Lines = "lines",
    /// Finished and running calls, as records.
    Calls = "calls",
    /// Acting on running calls, and watching them.
    Live = "live",
    /// FAQ entries.
    Faqs = "faqs",
    /// Blocked numbers.
    Blocked = "blocked",
    /// The outbox of webhooks.
    Webhooks = "webhooks",
    /// Costs, plans, prices.
    Billing = "billing",
    /// Keys of the API.
    Keys = "keys",
    /// Users and their sessions.
    Users = "users",
    /// The audit log.
    Audit = "audit",
    /// Text chat.
    Chat = "chat",
    /// What is kept of persons.
    Privacy = "privacy",
    /// The process itself.
    System = "system",
}

/// Reading or changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Changes nothing.
    Read,
    /// Changes something.
    Write,
}

impl Access {
    /// The spelling in scopes.
    pub fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What a key may touch: everything, or a list of `area:read` and `area:write` (writing includes reading).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scopes {
    /// `*`.
    All,
    /// Only these.
    Some(Vec<(Area, Access)>),
}

/// Most scopes of one key.
pub const SCOPES_MAX: usize = 2 * Area::ALL.len();

impl Scopes {
    /// Reads the stored or sent list; an empty list or `*` is everything.
    ///
    /// # Errors
    /// The first text that names no scope.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut some = Vec::new();
        let mut all = false;
        for text in texts {
            if text == "*" {
                all = true;
                continue;
            }
            let scope = text.split_once(':').and_then(|(area, access)| {
                let area = Area::ALL
                    .iter()
                    .copied()
                    .find(|known| known.label() == area)?;
                let access = match access {
                    "read" => Access::Read,
                    "write" => Access::Write,
                    _ => return None,
                };
                Some((area, access))
            });
            some.push(scope.ok_or_else(|| text.to_owned())?);
        }
        some.dedup();
        some.truncate(SCOPES_MAX);
        Ok(if all || some.is_empty() {
            Self::All
        } else {
            Self::Some(some)
        })
    }

    /// Whether the scope is among them.
    pub fn allow(&self, area: Area, access: Access) -> bool {
        match self {
            Self::All => true,
            Self::Some(some) => some
                .iter()
                .any(|(known, granted)| *known == area && *granted >= access),
        }
    }

    /// Whether everything that `other` allows is allowed here: nobody hands out more than he has.
    pub fn include(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Some(_), Self::All) => false,
            (Self::Some(_), Self::Some(some)) => {
                some.iter().all(|(area, access)| self.allow(*area, *access))
            }
        }
    }
}

/// What a route asks. There is no way to register a route without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Part of the API.
    pub area: Area,
    /// Reading or changing.
    pub access: Access,
    /// Least role.
    pub role: Role,
    /// Who besides keys and users of that role.
    pub door: Door,
}

/// Who may come in beside keys and users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nobody.
    Keys,
    /// An agent's token too; handlers see only that agent's data.
    Agents,
    /// An agent's token, and the public token of its chat widget.
    Chat,
    /// Only the operator of the node: its admin token and users without an account.
    Node,
    /// Anyone, without a credential.
    Open,
    /// Any credential at all.
    Any,
}

impl Need {
    /// Reading, by anyone of the account.
    pub const fn read(area: Area) -> Self {
        Self {
            area,
            access: Access::Read,
            role: Role::Viewer,
            door: Door::Keys,
        }
    }

    /// Acting, from operator up.
    pub const fn act(area: Area) -> Self {
        Self {
            area,
            access: Access::Write,
            role: Role::Operator,
            door: Door::Keys,
        }
    }

    /// Changing what the account is made of, from admin up.
    pub const fn change(area: Area) -> Self {
        Self {
            area,
            access: Access::Write,
            role: Role::Admin,
            door: Door::Keys,
        }
    }

    /// The same need with another door.
    pub const fn door(mut self, door: Door) -> Self {
        self.door = door;
        self
    }

    /// The same need for a higher role.
    pub const fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.area.label(), self.access.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_spelt_as_they_are_stored() {
        let roles = [Role::Viewer, Role::Operator, Role::Admin, Role::Owner];
        assert!(roles.is_sorted());
        for role in roles {
            assert_eq!(role.label().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(()));
    }

    #[test]
    fn writing_includes_reading_and_nothing_else() {
        let scopes = Scopes::read(["agents:write", "calls:read"]).unwrap();
        assert!(scopes.allow(Area::Agents, Access::Read));
        assert!(scopes.allow(Area::Agents, Access::Write));
        assert!(scopes.allow(Area::Calls, Access::Read));
        assert!(!scopes.allow(Area::Calls, Access::Write));
        assert!(!scopes.allow(Area::Keys, Access::Read));
        assert!(Scopes::All.include(&scopes) && !scopes.include(&Scopes::All));
        assert!(!scopes.include(&Scopes::read(["keys:read"]).unwrap()));
        assert_eq!(Scopes::read([]), Ok(Scopes::All));
        assert_eq!(
            Scopes::read(["agents:delete"]),
            Err("agents:delete".to_owned())
        );
    }
}
