//! What a column holds, and how its value is written on the wire.

/// A table of the back office. `id`, `tenant_id`, `restaurant_id`, `created_at` and `updated_at` are in each.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// One row of it, for people.
    pub what: &'static str,
    /// The order of its lists.
    pub order: &'static str,
    /// Its own columns.
    pub columns: &'static [Column],
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its name on the wire.
    pub wire: &'static str,
    /// Its name in the database.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// A new row has to have it.
    pub needed: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A text of at most so many bytes.
    Text(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number between these.
    Int(i64, i64),
    /// A number between these.
    Real(f64, f64),
    /// Money: whole cents here, a number with at most two decimals on the wire.
    Money,
    /// A truth value.
    Flag,
    /// An instant: microseconds since 1970 here, ISO 8601 on the wire.
    Time,
    /// A time of day, `HH:MM`.
    Clock,
    /// A date, `YYYY-MM-DD`.
    Date,
    /// Any JSON of at most so many bytes.
    Json(usize),
    /// A list of texts.
    Strings,
}

/// Texts of one list.
pub const STRINGS_MAX: usize = 200;
/// Bytes of one text of a list.
pub const STRING_BYTES_MAX: usize = 400;
/// Largest amount, in cents: ten million.
pub const MONEY_CENTS_MAX: i64 = 1_000_000_000;

pub(super) const fn column(wire: &'static str, name: &'static str, kind: Kind) -> Column {
    Column {
        wire,
        name,
        kind,
        needed: false,
    }
}

pub(super) const fn needed(wire: &'static str, name: &'static str, kind: Kind) -> Column {
    Column {
        wire,
        name,
        kind,
        needed: true,
    }
}

impl Table {
    /// The column of a name on the wire.
    pub fn column(&self, wire: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.wire == wire)
    }
}
