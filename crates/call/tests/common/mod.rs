//! Call scripts: their language, their words for effects, and their runner.

pub(crate) mod parse;
pub(crate) mod render;
pub(crate) mod run;
