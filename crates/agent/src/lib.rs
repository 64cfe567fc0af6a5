//! What an operator defines: agents, tools and templates, compiled, checked and evaluated. Pure: no socket, no clock, no SQL.
#![forbid(unsafe_code)]
