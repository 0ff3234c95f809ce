//! A client that reads a watch and keeps nothing: what each event costs whoever gets it.

use std::fs;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};
use futures::{StreamExt, pin_mut};
use http::Request;
use kube::Client;
use serde::Deserialize;

use crate::operator::cpu_of;

/// One that runs, on a thread of its own.
pub struct BareWatch {
    /// Its place in /proc.
    stat: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Ignored {}

impl BareWatch {
    /// Watches until the process ends.
    pub fn start(path: &str) -> Result<Self> {
        let request = Request::get(format!("{path}?watch=true")).body(Vec::new())?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let place = fs::read_link("/proc/thread-self");
            let watching = async {
                let events = Client::try_default().await?.request_events::<Ignored>(request).await?;
                let _ = sender.send(place?);
                pin_mut!(events);
                while events.next().await.is_some() {}
                anyhow::Ok(())
            };
            if let Err(error) = runtime.context("no runtime").and_then(|runtime| runtime.block_on(watching)) {
                eprintln!("bare watch: {error:#}");
            }
        });
        let place = receiver.recv().context("there is no watch")?;
        Ok(Self { stat: format!("/proc/{}/stat", place.display()) })
    }

    /// Seconds of processor time that it took.
    pub fn cpu(&self) -> f64 {
        cpu_of(&self.stat)
    }
}
