//! When a task with a schedule is due: pure, with the time handed in.

use std::sync::LazyLock;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Task;
use crate::api::{Schedule, ScheduleStatus, TaskStatus, non_empty};

/// The time zones, which are part of the program: an image may have none, or old ones.
static TIME_ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
/// The time zone where none is named.
const DEFAULT_TIME_ZONE: &str = "Etc/UTC";
/// How many due times that passed are counted at once; of a schedule that rested for long the count says no more than that.
const MAX_COUNTED: i64 = 1000;
/// How many times of the day are told apart.
const MAX_TIMES_OF_DAY: usize = 48;
/// A last due time so far ahead was written by a clock that was wrong, and counts as none.
const WRONG_CLOCK: SignedDuration = SignedDuration::from_hours(24);

/// The due times of a schedule.
#[derive(Clone, Debug)]
struct Timetable {
    /// One, or one for each time of the day, where those are given as numbers.
    crons: Vec<Cron>,
    zone: TimeZone,
    deadline: Option<SignedDuration>,
}

impl Timetable {
    /// Of a schedule, or what is wrong with it, beginning with the field.
    fn of(schedule: &Schedule) -> Result<Self, String> {
        let zone = non_empty(&schedule.time_zone).unwrap_or(DEFAULT_TIME_ZONE);
        let zone = TIME_ZONES.get(zone).map_err(|_| {
            format!("schedule.timeZone: there is no time zone {zone:?}; write a name such as Europe/Berlin")
        })?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let text = if schedule.cron == "@midnight" { "@daily" } else { &schedule.cron };
        let cron = parser.parse(text).map_err(|error| {
            format!(
                "schedule.cron: {:?} is no cron expression: {error}; write five fields such as 30 3 * * 1-5, or @daily",
                schedule.cron
            )
        })?;
        let deadline = schedule.starting_deadline_seconds.map(SignedDuration::from_secs);
        let crons = times_of_day(&cron, text)
            .iter()
            .map(|cron| parser.parse(cron))
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|crons| !crons.is_empty())
            .unwrap_or_else(|| vec![cron]);
        let timetable = Self { crons, zone, deadline };
        match timetable.next(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(timetable),
            None => Err(format!("schedule.cron: {:?} is never due; write a day that exists", schedule.cron)),
        }
    }

    /// The first due time after an instant.
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.to_zoned(self.zone.clone());
        let next = |cron: &Cron| cron.find_next_occurrence(&after, false).ok().map(|at| at.timestamp());
        self.crons.iter().filter_map(next).min()
    }

    /// The last due time until an instant, that itself included.
    fn last(&self, until: Timestamp) -> Option<Timestamp> {
        let until = until.to_zoned(self.zone.clone());
        let last = |cron: &Cron| cron.find_previous_occurrence(&until, true).ok().map(|at| at.timestamp());
        self.crons.iter().filter_map(last).max()
    }

    /// How many due times there are after an instant, until one of them.
    fn count(&self, since: Timestamp, last: Timestamp) -> i64 {
        let mut count = 1;
        let mut at = since;
        while let Some(next) = self.next(at).filter(|next| *next < last && count < MAX_COUNTED) {
            (at, count) = (next, count + 1);
        }
        count
    }

    /// Whether a run may no more start for a due time.
    fn is_too_late(&self, due: Timestamp, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| now.duration_since(due) > deadline)
    }
}

/// The expressions of the single times of the day, where an expression gives minutes and hours as numbers: each is due once
/// on the days on which clocks are changed. Empty where it follows the clock, as `*/5` does.
fn times_of_day(cron: &Cron, text: &str) -> Vec<String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, days @ ..] = fields.as_slice() else { return Vec::new() };
    if [minutes, hours].iter().any(|field| field.contains(['*', '?'])) || days.is_empty() {
        return Vec::new();
    }
    let hours: Vec<u32> = (0..24).filter(|hour| cron.pattern.hour_match(*hour).unwrap_or(false)).collect();
    let minutes: Vec<u32> = (0..60).filter(|minute| cron.pattern.minute_match(*minute).unwrap_or(false)).collect();
    if hours.len() * minutes.len() > MAX_TIMES_OF_DAY {
        return Vec::new();
    }
    let days = days.join(" ");
    hours
        .iter()
        .flat_map(|hour| minutes.iter().map(move |minute| (hour, minute)))
        .map(|(hour, minute)| format!("{minute} {hour} {days}"))
        .collect()
}

/// A schedule as it stands now.
#[derive(Clone, Debug)]
pub struct ObservedSchedule {
    /// As the status is to have it, without what has become due.
    pub status: ScheduleStatus,
    /// Whether the trigger is another one than that of the newest run.
    pub trigger_changed: bool,
    /// Since when what is due counts.
    since: Timestamp,
    /// The last due time that has passed, and is not dealt with.
    passed: Option<Timestamp>,
    /// Whether a run may still start for it.
    in_time: bool,
    timetable: Timetable,
}

impl ObservedSchedule {
    /// Of a task that has one, or what is wrong with it.
    pub fn of<T: Task>(task: &T, status: &TaskStatus, now: Timestamp) -> Result<Option<Self>, String> {
        let Some(schedule) = task.schedule() else { return Ok(None) };
        let timetable = Timetable::of(schedule)?;
        let trigger = non_empty(&task.policy().trigger);
        let before = status.schedule.as_ref();
        let created = task.meta().creation_timestamp.as_ref().map(|created| created.0);
        let is_new = status.observed_generation.is_none_or(|generation| generation < 0);
        let cron = match non_empty(&schedule.time_zone) {
            Some(zone) => format!("{} {zone}", schedule.cron),
            None => schedule.cron.clone(),
        };
        let since = match before {
            Some(before) if before.cron == cron => before.last_due_time.as_ref().map(|time| time.0),
            _ => created.filter(|_| is_new),
        };
        let since = since.filter(|since| since.duration_since(now) <= WRONG_CLOCK).unwrap_or(now);
        let known_trigger = match (&status.last_run, before) {
            (Some(run), _) => run.trigger.as_deref(),
            (None, Some(before)) => before.trigger.as_deref(),
            (None, None) => trigger,
        };
        let status = ScheduleStatus {
            cron,
            last_due_time: Some(Time(since)),
            next_due_time: timetable.next(since).map(Time),
            missed: before.map_or(0, |before| before.missed),
            trigger: known_trigger.filter(|_| status.last_run.is_none()).map(str::to_owned),
        };
        let trigger_changed = known_trigger != trigger;
        let passed = timetable.last(now).filter(|last| *last > since);
        let in_time = passed.is_some_and(|last| !timetable.is_too_late(last, now));
        Ok(Some(Self { status, trigger_changed, since, passed, in_time, timetable }))
    }

    /// Whether a run is to start by the clock.
    pub fn is_due(&self) -> bool {
        self.in_time
    }

    /// The due time for which a run starts now.
    pub fn due_time(&self) -> Option<Time> {
        self.passed.filter(|_| self.in_time).map(Time)
    }

    /// Whether a run may no more start for a due time.
    pub fn is_too_late(&self, due: Timestamp, now: Timestamp) -> bool {
        self.timetable.is_too_late(due, now)
    }

    /// Without what can no more be done in time.
    pub fn without_late(&self) -> ScheduleStatus {
        if self.in_time { self.status.clone() } else { self.dealt_with(false) }
    }

    /// As it stands when what has become due is dealt with: by a run that starts, or by letting it pass.
    fn dealt_with(&self, by_run: bool) -> ScheduleStatus {
        let mut status = self.status.clone();
        if let Some(last) = self.passed {
            status.last_due_time = Some(Time(last));
            status.next_due_time = self.timetable.next(last).map(Time);
            let count = self.timetable.count(self.since, last);
            status.missed = status.missed.saturating_add(count - i64::from(by_run));
        }
        status
    }

    /// As it stands with a run that starts now, for what is due or for something else.
    pub fn with_run(&self, of_due: bool) -> Self {
        let status = ScheduleStatus { trigger: None, ..self.dealt_with(of_due) };
        Self { status, trigger_changed: false, passed: None, in_time: false, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DjangoCommand, Outcome, Run};
    use serde_json::json;

    fn schedule(cron: &str, zone: &str) -> Schedule {
        serde_json::from_value(json!({"cron": cron, "timeZone": zone})).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The due times after an instant, in UTC.
    fn due(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let timetable = Timetable::of(&schedule(cron, zone)).unwrap();
        let mut found = vec![at(after)];
        while found.len() <= count {
            found.push(timetable.next(found[found.len() - 1]).unwrap());
        }
        found[1..].iter().map(ToString::to_string).collect()
    }

    #[test]
    fn due_times_are_those_of_the_time_zones_clock() {
        for (cron, zone, after, expected) in [
            ("30 3 * * 1-5", "", "2026-11-27T12:00:00Z", ["2026-11-30T03:30:00Z", "2026-12-01T03:30:00Z"]),
            ("@daily", "", "2026-12-31T00:00:00Z", ["2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"]),
            ("@weekly", "", "2026-12-31T00:00:00Z", ["2027-01-03T00:00:00Z", "2027-01-10T00:00:00Z"]),
            ("@monthly", "", "2026-12-31T00:00:00Z", ["2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"]),
            ("@yearly", "", "2026-12-31T00:00:00Z", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
            ("@hourly", "", "2026-12-31T23:30:00Z", ["2027-01-01T00:00:00Z", "2027-01-01T01:00:00Z"]),
            ("*/20 8-9 * * *", "", "2026-01-01T08:30:00Z", ["2026-01-01T08:40:00Z", "2026-01-01T09:00:00Z"]),
            // A day that most years and months do not have.
            ("0 0 29 2 *", "", "2026-01-01T00:00:00Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
            ("0 0 31 * *", "", "2026-01-31T00:00:00Z", ["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"]),
            // Either day counts where both are named, as in a crontab.
            ("0 0 13 * 5", "", "2026-11-01T00:00:00Z", ["2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z"]),
            // Berlin goes from 2 to 3 o'clock on 29 March, and from 3 back to 2 on 25 October.
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
            ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
            ("0 2,14 * * *", "Europe/Berlin", "2026-03-28T14:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-29T12:00:00Z"]),
            ("0 2,14 * * *", "Europe/Berlin", "2026-10-24T20:00:00Z", ["2026-10-25T00:00:00Z", "2026-10-25T13:00:00Z"]),
            (
                "0,30 2-3 * * *",
                "Europe/Berlin",
                "2026-03-28T22:00:00Z",
                ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
            ),
            ("@midnight", "", "2026-12-31T00:00:00Z", ["2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"]),
            ("@annually", "", "2026-12-31T00:00:00Z", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
            ("0 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", ["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]),
            ("0 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", ["2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]),
        ] {
            assert_eq!(due(cron, zone, after, 2), expected, "{cron} {zone}");
        }
    }

    #[test]
    fn a_daily_time_is_due_once_a_day_in_every_kind_of_time_zone() {
        for zone in [
            "Africa/Cairo",
            "Africa/Casablanca",
            "America/Anchorage",
            "America/Argentina/Buenos_Aires",
            "America/Bogota",
            "America/Chicago",
            "America/Halifax",
            "America/Havana",
            "America/Los_Angeles",
            "America/New_York",
            "America/Nuuk",
            "America/Santiago",
            "America/Sao_Paulo",
            "America/St_Johns",
            "Asia/Beirut",
            "Asia/Kathmandu",
            "Asia/Kolkata",
            "Asia/Shanghai",
            "Asia/Tehran",
            "Asia/Tokyo",
            "Atlantic/Azores",
            "Australia/Adelaide",
            "Australia/Lord_Howe",
            "Europe/Dublin",
            "Europe/London",
            "Pacific/Apia",
            "Pacific/Auckland",
            "Pacific/Chatham",
            "Pacific/Kiritimati",
        ] {
            for cron in ["30 2 * * *", "0 0 * * *", "15 1 * * *"] {
                let timetable = Timetable::of(&schedule(cron, zone)).unwrap();
                let mut days = Vec::new();
                let mut last = at("2026-01-01T12:00:00Z");
                while last < at("2027-01-01T12:00:00Z") {
                    last = timetable.next(last).unwrap();
                    days.push(last.to_zoned(timetable.zone.clone()).date());
                }
                let in_order = days.windows(2).all(|two| two[0].tomorrow().unwrap() == two[1]);
                assert!(in_order, "{cron} {zone}: {days:?}");
            }
        }
    }

    #[test]
    fn what_is_no_schedule_is_told_with_its_field() {
        for (cron, zone, expected) in [
            ("* * * * * *", "", "schedule.cron: \"* * * * * *\" is no cron expression"),
            ("60 * * * *", "", "schedule.cron: \"60 * * * *\" is no cron expression"),
            ("@reboot", "", "schedule.cron: \"@reboot\" is no cron expression"),
            ("0 0 30 2 *", "", "schedule.cron: \"0 0 30 2 *\" is never due"),
            ("@daily", "Europe/Atlantis", "schedule.timeZone: there is no time zone \"Europe/Atlantis\""),
        ] {
            let found = Timetable::of(&schedule(cron, zone)).unwrap_err();
            assert!(found.starts_with(expected), "{found}");
        }
    }

    /// A task with a schedule every hour, as it was written at noon.
    fn task(deadline: Option<i64>, trigger: &str) -> DjangoCommand {
        serde_json::from_value(json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoCommand",
            "metadata": {"name": "c", "creationTimestamp": "2026-06-01T12:00:00Z"},
            "spec": {
                "commands": [["check"]], "trigger": trigger,
                "schedule": {"cron": "0 * * * *", "startingDeadlineSeconds": deadline},
            },
        }))
        .unwrap()
    }

    fn observe(task: &DjangoCommand, status: &TaskStatus, now: &str) -> ObservedSchedule {
        ObservedSchedule::of(task, status, at(now)).unwrap().unwrap()
    }

    fn with(schedule: ScheduleStatus) -> TaskStatus {
        TaskStatus { observed_generation: Some(1), schedule: Some(schedule), ..TaskStatus::default() }
    }

    #[test]
    fn what_was_missed_collapses_into_one_run_within_the_deadline() {
        let known = |now| with(observe(&task(None, ""), &TaskStatus::default(), now).status);
        let known = known("2026-06-01T12:00:30Z");
        for (deadline, now, due, missed, next) in [
            (None, "2026-06-01T12:59:59Z", false, 0, "2026-06-01T13:00:00Z"),
            (None, "2026-06-01T13:00:00Z", true, 0, "2026-06-01T14:00:00Z"),
            (None, "2026-06-01T15:59:59Z", true, 2, "2026-06-01T16:00:00Z"),
            (Some(600), "2026-06-01T15:10:00Z", true, 2, "2026-06-01T16:00:00Z"),
            (Some(600), "2026-06-01T15:10:01Z", false, 3, "2026-06-01T16:00:00Z"),
            (None, "2026-09-01T12:00:00Z", true, 999, "2026-09-01T13:00:00Z"),
        ] {
            let found = observe(&task(deadline, ""), &known, now);
            let after = if due { found.with_run(true).status } else { found.without_late() };
            let next = Some(Time(at(next)));
            assert_eq!((found.is_due(), after.missed, after.next_due_time), (due, missed, next), "{deadline:?} {now}");
        }
    }

    #[test]
    fn a_clock_that_is_set_makes_nothing_run_twice_and_loses_nothing_for_ever() {
        let task = task(None, "");
        let begun = observe(&task, &TaskStatus::default(), "2026-06-01T12:30:00Z");
        let ran = with(observe(&task, &with(begun.status), "2026-06-01T13:00:01Z").with_run(true).status);
        for (situation, now, due) in [
            ("an hour back", "2026-06-01T12:00:01Z", false),
            ("and on", "2026-06-01T13:00:02Z", false),
            ("and on", "2026-06-01T14:00:00Z", true),
            ("an hour forwards", "2026-06-01T14:00:30Z", true),
        ] {
            assert_eq!(observe(&task, &ran, now).is_due(), due, "{situation}");
        }
        let far =
            with(ScheduleStatus { last_due_time: Some(Time(at("2031-01-01T00:00:00Z"))), ..ran.schedule.unwrap() });
        let mended = with(observe(&task, &far, "2026-06-01T14:30:00Z").status);
        assert!(observe(&task, &mended, "2026-06-01T15:00:00Z").is_due(), "a clock that was years ahead");
    }

    #[test]
    fn another_schedule_and_what_came_before_the_operator() {
        let new = observe(&task(None, ""), &TaskStatus::default(), "2026-06-01T14:30:00Z");
        assert!(new.is_due(), "created while no operator was there");
        let before = with(ScheduleStatus { cron: "30 * * * *".into(), ..new.with_run(true).status });
        let edited = observe(&task(None, ""), &before, "2026-06-01T15:10:00Z");
        assert!(!edited.is_due(), "what was due before the edit is none of it");
        assert_eq!(edited.status.next_due_time, Some(Time(at("2026-06-01T16:00:00Z"))));
    }

    #[test]
    fn a_trigger_runs_at_once_but_the_first_one() {
        let first = observe(&task(None, "1"), &TaskStatus::default(), "2026-06-01T12:00:30Z");
        assert!(!first.trigger_changed);
        let known = with(first.status);
        assert!(!observe(&task(None, "1"), &known, "2026-06-01T12:01:00Z").trigger_changed);
        let changed = observe(&task(None, "2"), &known, "2026-06-01T12:01:00Z");
        assert!(changed.trigger_changed && !changed.is_due());
        let last_run = Run { trigger: Some("2".into()), result: Some(Outcome::Succeeded), ..Run::default() };
        let ran = TaskStatus { last_run: Some(last_run), ..with(changed.with_run(true).status) };
        assert!(!observe(&task(None, "2"), &ran, "2026-06-01T12:02:00Z").trigger_changed);
        assert!(observe(&task(None, ""), &ran, "2026-06-01T12:02:00Z").trigger_changed);
    }
}
