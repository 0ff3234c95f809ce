//! The client, the watches and what is kept of them.

pub mod cache;
pub mod caches;
pub mod client;
mod compressed_text;
pub mod connection;
pub mod events;
pub mod gated;
pub mod health;
pub mod job_keys;
pub mod lean_object;
pub mod lease;
pub mod object_store;
pub mod open_jobs;
pub mod open_migrations;
pub mod recent;
pub mod started;
pub mod tasks;
pub mod transport;
pub mod triggers;
pub mod unrecorded;
pub mod watch;
