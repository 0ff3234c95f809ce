//! All talking to the API server.

pub mod cache;
pub mod client;
pub mod events;
pub mod lease;
pub mod tasks;
pub mod triggers;
pub mod watch;
