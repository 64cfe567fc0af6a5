//! Texts that are stored encrypted. The store moves them; it cannot read them.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::entry::Value;

/// An encrypted text, as it is stored. Even so its `Debug` prints nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(String);

impl Sealed {
    /// Wraps an encrypted text.
    pub fn new(encrypted: impl Into<String>) -> Self {
        Self(encrypted.into())
    }

    /// The encrypted text, for what decrypts it.
    pub fn encrypted(&self) -> &str {
        &self.0
    }

    pub(crate) fn read(row: &AnyRow, column: &str) -> sqlx::Result<Option<Self>> {
        Ok(row.try_get::<Option<String>, _>(column)?.map(Self))
    }

    pub(crate) fn value(sealed: Option<&Self>) -> Value {
        Value::Text(sealed.map(|sealed| sealed.0.clone()))
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(…)")
    }
}
