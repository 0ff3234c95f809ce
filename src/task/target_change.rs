//! Whether the owner of a target changed, since a run failed because of it, how tasks run there: pure.

use super::Task;
use super::observe::{NamespaceReader, choose_target};
use super::observed::Observed;
use super::run_cause::failed_because_of_target;
use super::source::TemplateSource;
use crate::api::Run;

/// Whether the target of a run has other annotations of ours than it had then, as far as that was recorded.
fn settings_changed(run: &Run, uid: &str, hash: &str) -> bool {
    uid == run.target.uid && run.interpreter.is_some() && hash != run.target_settings.as_deref().unwrap_or_default()
}

/// Whether the target of the newest run, which failed because of it, was changed by its owner since.
pub(super) fn target_changed<T: Task>(task: &T, run: Option<&Run>, uid: &str, hash: &str) -> bool {
    let changed = |run: &Run| failed_because_of_target(run) && settings_changed(run, uid, hash);
    run.is_some_and(changed) && !task.command().at_most_once
}

/// What was observed, with the target as it is now.
pub fn with_live_target<T: Task>(observed: &Observed, task: &T, source: &TemplateSource, image: &str) -> Observed {
    let run = observed.status.last_run.as_ref();
    Observed {
        target_image: Some(image.to_owned()),
        target_changed: target_changed(task, run, &source.uid, &source.settings_hash()),
        ..observed.clone()
    }
}

/// What was observed before the end of the newest run, with that end in its status: another run may be due.
pub fn after_result<T: Task>(
    observed: Observed,
    task: &T,
    namespace: &impl NamespaceReader,
    labels: &[(String, String)],
) -> Observed {
    let run = observed.status.last_run.as_ref();
    if !run.is_some_and(failed_because_of_target) {
        return observed;
    }
    let found = choose_target(task.policy().target.as_ref(), namespace, labels).ok();
    let changed =
        found.is_some_and(|(candidate, _)| target_changed(task, run, candidate.uid(), &candidate.settings_hash()));
    Observed { target_changed: changed, ..observed }
}
