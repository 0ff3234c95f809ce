//! All talking to the API server.

pub mod cache;
pub mod calls;
pub mod events;
pub mod lease;
pub mod watch;
