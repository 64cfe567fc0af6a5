//! The tests of this crate in one program: what is linked once is linked once. Only what needs an allocator of its own is a program of its own.

mod answering;
mod common;
mod company;
mod dtmf;
mod echo;
mod feed;
mod keypad;
mod latch;
mod pair;
mod playout;
mod receive;
mod resample;
mod rtcp;
mod srtp;
mod telephone_codecs;
mod treatment;
mod voice;
mod wideband;
mod worlds;
