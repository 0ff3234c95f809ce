//! When a task runs by the clock.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Runs by the clock; the operator itself starts them, with the target's template as it is then.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// When a run is due: minute, hour, day of the month, month, day of the week, as in a crontab; or one of `@yearly`,
    /// `@monthly`, `@weekly`, `@daily`, `@hourly`. Times of the day that are given as numbers (at most 48 a day) are due
    /// once on every day: right after the gap where daylight saving skips them, and the first time where it repeats them.
    /// What has a `*` for the minute or the hour follows the clock. Required. Example: `30 3 * * 1-5`.
    #[schemars(
        length(min = 1, max = 100),
        regex(
            pattern = r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[-0-9A-Za-z*,/?#]+( +[-0-9A-Za-z*,/?#]+){4})$"
        )
    )]
    pub cron: String,

    /// Name of the time zone, as IANA has it; its data is the operator's own. Default: `Etc/UTC`. Example:
    /// `Europe/Berlin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^([A-Za-z][A-Za-z0-9_+/-]*)?$"))]
    pub time_zone: Option<String>,

    /// Seconds within which a run that could not start when it was due may still start. Of several that were missed within
    /// that time one run starts; the others are counted. 1 to 31536000 (a year). Default: no limit. Example: `600`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub starting_deadline_seconds: Option<i64>,

    /// How many finished Jobs of runs that succeeded stay, for their logs, in place of `historyLimit`. 0 to 100. Default: 3.
    #[serde(default = "default_successful_history_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub successful_history_limit: i32,

    /// How many finished Jobs of runs that failed stay. 0 to 100. Default: 1.
    #[serde(default = "default_failed_history_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub failed_history_limit: i32,
}

fn default_successful_history_limit() -> i32 {
    3
}

fn default_failed_history_limit() -> i32 {
    1
}

/// How far a schedule is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleStatus {
    /// The cron expression, and the time zone if one is named, that this is about.
    #[serde(default)]
    pub cron: String,
    /// The last due time that is dealt with, by a run or by letting it pass; before the first, since when the schedule
    /// counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_due_time: Option<Time>,
    /// When a run is due next; in the past where it could not start yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due_time: Option<Time>,
    /// How many due times passed without a run of their own; of more than a thousand at once, a thousand.
    #[serde(default)]
    pub missed: i64,
    /// The trigger before the first run, which another one causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
}
