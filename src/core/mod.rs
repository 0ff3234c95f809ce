//! The words that tasks and applications share. Imports the API and names only.

pub mod blocked;
pub mod condition;
pub mod json;
pub mod reason;
pub mod text;
pub mod views;

pub use blocked::{Blocked, Remedy};
pub use reason::Reason;
