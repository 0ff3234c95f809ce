//! Where a run of several commands begins: pure.

use crate::api::{Outcome, Run, StepState};

/// The step at which a run begins that may resume the newest run before it, counted from 1.
///
/// `last` is that run, or the run itself, where it is recorded already and its Job was never created.
pub fn first_step(last: Option<&Run>, number: i64, key: &str, image: &str) -> usize {
    let Some(run) = last.filter(|run| run.key == key && run.image == image) else { return 1 };
    let first_before = run.first_step.and_then(|step| usize::try_from(step).ok()).unwrap_or(1);
    if run.number == number {
        return first_before;
    }
    let done = |state: StepState| matches!(state, StepState::Succeeded | StepState::Skipped);
    match run.result {
        // Those before its first had succeeded, whatever became of the others.
        Some(Outcome::Superseded) => first_before,
        Some(Outcome::Failed) if run.steps.is_empty() => first_before,
        Some(Outcome::Failed) => run.steps.iter().position(|step| !done(step.state)).map_or(1, |done| done + 1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::StepResult;

    #[test]
    fn only_a_failed_run_of_the_same_key_and_image_is_resumed() {
        use StepState::{Failed, NotRun, Skipped, Succeeded};
        let run = |number, key: &str, image: &str, result, states: &[StepState]| Run {
            number,
            key: key.to_owned(),
            image: image.to_owned(),
            result,
            steps: states.iter().map(|state| StepResult { state: *state, ..StepResult::default() }).collect(),
            ..Run::default()
        };
        let failed = Some(Outcome::Failed);
        let states = [Succeeded, Failed, NotRun];
        for (situation, last, expected) in [
            ("the first run", None, 1),
            ("the second step failed", Some(run(1, "k", "i", failed, &states)), 2),
            ("it was resumed, and failed later", Some(run(1, "k", "i", failed, &[Skipped, Succeeded, Failed])), 3),
            ("another spec", Some(run(1, "other", "i", failed, &states)), 1),
            ("another image", Some(run(1, "k", "other", failed, &states)), 1),
            ("it succeeded", Some(run(1, "k", "i", Some(Outcome::Succeeded), &[Succeeded; 3])), 1),
            ("it was lost", Some(run(1, "k", "i", Some(Outcome::Lost), &[])), 1),
            ("it told nothing of its steps", Some(run(1, "k", "i", failed, &[])), 1),
            ("it failed after all steps", Some(run(1, "k", "i", failed, &[Succeeded; 3])), 1),
        ] {
            assert_eq!(first_step(last.as_ref(), 2, "k", "i"), expected, "{situation}");
        }
        let resumed = |result| Run { first_step: Some(2), ..run(1, "k", "i", result, &[]) };
        for (situation, result, expected) in [
            ("it resumed one, and gave way", Some(Outcome::Superseded), 2),
            ("it resumed one, and its pod was lost", failed, 2),
            ("it resumed one, and succeeded", Some(Outcome::Succeeded), 1),
        ] {
            assert_eq!(first_step(Some(&resumed(result)), 2, "k", "i"), expected, "{situation}");
        }
        let recorded = |key: &str| Run { first_step: Some(2), ..run(2, key, "i", None, &[]) };
        assert_eq!(first_step(Some(&recorded("k")), 2, "k", "i"), 2, "recorded, and its Job never created");
        assert_eq!(first_step(Some(&recorded("other")), 2, "k", "i"), 1, "edited since it was recorded");
    }
}
