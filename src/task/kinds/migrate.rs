//! DjangoMigrate runs `lockedmigrate`.

use super::pluralize;
use crate::api::migrate::LockMode;
use crate::api::{DEFAULT_DATABASE, DjangoMigrate};
use crate::api::{Report, non_empty};
use crate::task::{Command, Runner, TargetLabel, Task};

impl Task for DjangoMigrate {
    const TARGET_LABEL: TargetLabel = TargetLabel::Django;

    fn command(&self) -> Command {
        let spec = &self.spec;
        let mut argv: Vec<String> = vec!["lockedmigrate".into(), "--noinput".into()];
        for (wanted, option) in [
            (spec.fake, "--fake"),
            (spec.fake_initial, "--fake-initial"),
            (spec.run_syncdb, "--run-syncdb"),
            (spec.prune, "--prune"),
        ] {
            if wanted {
                argv.push(option.into());
            }
        }
        if let Some(database) = non_empty(&spec.database) {
            argv.push(format!("--database={database}"));
        }
        match spec.lock.mode {
            LockMode::Auto => argv.extend([
                format!("--migration-lock-id={}", spec.lock.id),
                format!("--migration-lock-timeout={}", spec.lock.timeout_seconds),
            ]),
            LockMode::None => argv.push("--migration-lock-mode=none".into()),
        }
        argv.extend([&spec.app, &spec.migration].into_iter().filter_map(non_empty).map(str::to_owned));
        Command { default_timeout: None, ..Command::new(Runner::Manage, argv) }
    }

    fn migrates_everything_in(&self) -> Option<&str> {
        let spec = &self.spec;
        let everything = non_empty(&spec.app).is_none() && !spec.fake;
        everything.then(|| non_empty(&spec.database).unwrap_or(DEFAULT_DATABASE))
    }

    fn success(&self, report: Option<&Report>) -> (&'static str, String) {
        match report.map(|r| (r.action.as_str(), r.count)) {
            None => ("MigrationsApplied", "migrations applied".into()),
            Some(("pruned", _)) => ("MigrationsPruned", format!("{} pruned", pluralize(report, "migration record"))),
            Some((_, Some(0))) => ("NoMigrationsToApply", "no migrations to apply".into()),
            Some(("faked", _)) => {
                ("MigrationsFaked", format!("{} recorded without being run", pluralize(report, "migration")))
            }
            Some(("unapplied", _)) => ("MigrationsUnapplied", format!("{} taken back", pluralize(report, "migration"))),
            _ => ("MigrationsApplied", format!("{} applied", pluralize(report, "migration"))),
        }
    }
}
