//! An operator that runs Django's and Celery's administration commands as Jobs.
//!
//! ```text
//! api  <-  core  <-  task (pure)  <-  cluster (calls and watches)  <-  controller (spawns, reconciles)  <-  cli
//!                       ^-- manifests (generated files)  <---------------------------------------------------'
//! ```
//!
//! Where does a thing go? A field: `api/`, one file per kind. What a kind runs: `task/kinds/`. How a pod
//! template becomes a Job's: `task/job/`. What is known of a task: `task/observe.rs`. What happens next:
//! `task/decide.rs`. How it is shown: `task/status.rs`. A call to the API server: `cluster/client.rs`. What any kind of
//! resource needs to be reconciled: `controller/reconciler.rs`; in which order: `controller/work_queue.rs`. A permission:
//! `manifests/rbac.rs`. What runs inside the Jobs: `python/`. A test holds the arrows: `tests/architecture.rs`.

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
