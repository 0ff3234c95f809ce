//! The operator's settings: each a flag and an environment variable.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use clap::{Args, ValueEnum};

use crate::task::TargetLabel;

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Seconds that `WATCH_SECONDS` may be.
pub const WATCH_SECONDS: RangeInclusive<u32> = 10..=290;

/// The settings of `django-operator run`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Label of the Deployments that Django runs in, as `key:value`; several, separated by commas, mean
    /// any of them.
    #[arg(long, env = "DJANGO_POD_LABEL", value_parser = parse_labels, default_value = "app.kubernetes.io/component:django-server")]
    pub django_pod_label: TargetLabels,

    /// Label of the Deployments that Celery's workers run in, as `key:value`; several, separated by commas, mean any of
    /// them.
    #[arg(long, env = "CELERY_POD_LABEL", value_parser = parse_labels, default_value = "app.kubernetes.io/component:django-celery-work-celery")]
    pub celery_pod_label: TargetLabels,

    /// Namespaces to work in, separated by commas; empty: all.
    #[arg(long, env = "WATCH_NAMESPACE", default_value = "", value_parser = parse_namespaces)]
    pub watch_namespace: Namespaces,

    /// How many finished resources of a kind to keep in a namespace; 0: all. Resources that have an owner
    /// or marks of Helm, Argo CD or Flux stay whatever their number.
    #[arg(long, env = "NUM_OLD_CRS", default_value_t = 0)]
    pub num_old_crs: usize,

    /// How many Jobs may run at once; 0: any number. A migration does not wait for the Jobs of users, which may wait
    /// for it: as many again may run then.
    #[arg(long, env = "MAX_CONCURRENT_JOBS", default_value_t = 0)]
    pub max_concurrent_jobs: usize,

    /// Seconds after which each watch is begun anew, 10 to 290; to be less than what a load balancer before the API server
    /// allows a connection to be silent for. `/readyz` fails when a watch has not begun for this and a minute more,
    /// `/livez` when for twice this and a minute.
    #[arg(long, env = "WATCH_SECONDS", default_value_t = 200, value_parser = clap::value_parser!(u32).range(i64::from(*WATCH_SECONDS.start())..=i64::from(*WATCH_SECONDS.end())))]
    pub watch_seconds: u32,

    /// Where `/livez`, `/readyz` and `/metrics` are served.
    #[arg(long, env = "METRICS_ADDRESS", default_value = "0.0.0.0:8080")]
    pub metrics_address: SocketAddr,

    /// Work only while holding a lease; for more than one replica.
    #[arg(long, env = "LEADER_ELECTION", default_value_t = false, action = clap::ArgAction::Set)]
    pub leader_election: bool,

    /// Namespace of the lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub lease_namespace: String,

    /// This process's name in the lease and in events.
    #[arg(long, env = "POD_NAME", default_value = "django-operator")]
    pub identity: String,

    /// How logs look: json or text.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug or trace, or a tracing filter.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

impl Settings {
    /// The labels of a kind's targets.
    pub fn target_labels(&self, label: TargetLabel) -> &[(String, String)] {
        match label {
            TargetLabel::Django => &self.django_pod_label.0,
            TargetLabel::Celery => &self.celery_pod_label.0,
        }
    }
}

/// TargetLabels of which a target carries one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetLabels(pub Vec<(String, String)>);

/// Namespaces; none means all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaces(pub Vec<String>);

/// Why a setting cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSetting {
    /// A part of the list of labels is something else.
    #[error("{0:?} is no label; write key:value")]
    NotALabel(String),
    /// There is no label in the list.
    #[error("no label; write key:value")]
    NoLabel,
    /// A part of the list of namespaces cannot be the name of one.
    #[error("{0:?} is no namespace; write names separated by commas")]
    NotANamespace(String),
}

fn parse_labels(text: &str) -> Result<TargetLabels, InvalidSetting> {
    let pairs: Result<Vec<_>, InvalidSetting> = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once([':', '=']) {
            Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
                Ok((key.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(InvalidSetting::NotALabel(pair.to_owned())),
        })
        .collect();
    match pairs? {
        none if none.is_empty() => Err(InvalidSetting::NoLabel),
        pairs => Ok(TargetLabels(pairs)),
    }
}

/// Names separated by commas.
pub fn parse_namespaces(text: &str) -> Result<Namespaces, InvalidSetting> {
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    let valid = |name: &String| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    match names.iter().find(|name| !valid(name)) {
        Some(bad) => Err(InvalidSetting::NotANamespace(bad.clone())),
        None => Ok(Namespaces(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_written_as_the_older_operator_wrote_them() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(parse_labels("a/b:c"), Ok(TargetLabels(vec![pair("a/b", "c")])));
        assert_eq!(parse_labels("a:b, c=d"), Ok(TargetLabels(vec![pair("a", "b"), pair("c", "d")])));
        for bad in ["", "a", ":b", "a:", ","] {
            assert!(parse_labels(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_namespaces(" a , b,a,").map(|n| n.0), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(parse_namespaces("").map(|n| n.0.len()), Ok(0));
        assert!(parse_namespaces("a/b").is_err());
    }
}
