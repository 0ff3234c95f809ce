//! An operator that runs Django's and Celery's administration commands as Jobs.
//!
//! ```text
//! api  <-  task (pure)  <-  cluster (calls and watches)  <-  controller (spawns, reconciles)  <-  cli
//! ```
//!
//! Where does a thing go? A field: `api/`, one file per kind. What a kind runs: `task/kinds/`. How a pod
//! template becomes a Job's: `task/template.rs`. What happens next: `task/decide.rs`. How it is shown:
//! `task/status.rs`. A call to the API server: `cluster/calls.rs`. A right: `rbac.rs`. What runs inside
//! the Jobs: `python/`.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod core;
pub mod helper;
pub mod manifests;
pub mod metrics;
pub mod names;
pub mod server;
pub mod settings;
pub mod task;
pub mod telemetry;
