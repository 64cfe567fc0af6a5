//! Call scripts: their language, their words for effects, and their runner; random calls and their watcher.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod parse;
pub(crate) mod random;
pub(crate) mod render;
pub(crate) mod run;
