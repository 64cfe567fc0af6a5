//! The tests of this crate in one program: what is linked once is linked once. Only what needs other features of the crate is a program of its own.

mod common;
mod digest_rows;
mod pair;
mod pair_races;
mod pair_registration;
mod pair_replaces;
mod pair_requests;
mod pair_session;
mod pair_world;
mod registrar;
mod rfc_torture;
mod sdp;
mod sdp_browser;
mod sdp_formats;
mod sdp_ice;
mod torture;
mod torture_mutations;
mod transactions;
mod ways;
mod websocket;
