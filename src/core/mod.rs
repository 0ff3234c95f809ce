//! The words that tasks and applications share. Imports the API and names only.

pub mod blocked;
pub mod condition;
pub mod json;
pub mod lean;
pub mod owned_meta;
pub mod reason;
pub mod request;
pub mod text;
pub mod views;

pub use blocked::{APPLY_PERIOD, Blocked, RELEASE_PERIOD, Remedy};
pub use reason::Reason;
