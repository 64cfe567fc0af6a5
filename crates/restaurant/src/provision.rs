//! The voice server's side of a restaurant, made and kept by its public API: account, final customer, agent, twelve tools, lines.

mod desk;
mod known;
mod pack;
mod plan;
pub(crate) mod removal;
mod reply;
#[cfg(test)]
mod tests;
mod wanted;

pub use desk::{ACCOUNT, Handle, Voice, is_done, start};
pub use known::Known;
pub use pack::{TOOLS, tools};
pub use plan::{Method, Next, REQUESTS_MAX, Request, Run, Step, Stop};
pub use reply::Answer;
pub use wanted::{Line, Site, Wanted};
