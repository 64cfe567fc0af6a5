//! Identifiers as newtypes: a call id is never passed where a tenant id is meant.

use std::fmt;
use std::sync::Arc;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is; no form is imposed, peers choose their own.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text of the identifier.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The shared text, for a room that keys by `Arc<str>` itself.
            pub fn as_arc(&self) -> &Arc<str> {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<Arc<str>> for $name {
            fn from(text: Arc<str>) -> Self {
                Self(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(/// A tenant: whose data it is.
    TenantId);
text_id!(/// A call: the record and lifetime that a tenant sees.
    CallId);
text_id!(/// One party's connection to a call.
    LegId);
text_id!(/// An agent: the settings that a call takes a snapshot of.
    AgentId);
text_id!(/// A tool call, as the engine named it.
    ToolCallId);
text_id!(/// A conversation item, as the engine named it, or `local:…` for a sound of ours.
    ItemId);
text_id!(/// A response of the engine.
    ResponseId);
