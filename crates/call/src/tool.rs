//! Tool calls of the model: the ledger that admits them, their arguments, and the built-in ones.

pub(crate) mod arguments;
pub(crate) mod builtin;
pub(crate) mod ledger;
