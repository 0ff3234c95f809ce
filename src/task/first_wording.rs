//! One obstacle in one wording, though whoever tells of it has several: pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::TaskStatus;
use crate::core::text::one_line;
use crate::core::{Reason, condition};

/// The kubelet words one obstacle in turns, and servers put ports and numbers into what they say: the first wording stays
/// while no more than that differs.
pub fn keep_first_wording(old: &TaskStatus, generation: i64, reason: Reason, message: &str) -> String {
    let before = condition::find(&old.conditions, condition::READY).filter(|c| c.reason == reason.as_str());
    let only_numbers_differ = |before: &str| without_numbers(before) == without_numbers(&one_line(message));
    let same_generation = |before: &Condition| before.observed_generation == Some(generation);
    match (before, reason) {
        (Some(before), Reason::ImagePullFailed) => before.message.clone(),
        (Some(before), Reason::ApiError | Reason::JobRejected)
            if same_generation(before) && only_numbers_differ(&before.message) =>
        {
            before.message.clone()
        }
        _ => message.to_owned(),
    }
}

/// What is left of a text without numbers, and without what looks like an identifier.
fn without_numbers(text: &str) -> String {
    let is_number = |word: &str| {
        let identifier = word.len() >= 8 && word.contains(|c: char| c.is_ascii_digit());
        identifier && word.chars().all(|c| c.is_ascii_hexdigit())
    };
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !is_number(word));
    words.map(|word| word.trim_matches(|c: char| c.is_ascii_digit())).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Blocked;
    use crate::task::decide::StatusIntent;
    use crate::task::observed::Observed;
    use crate::task::status::build;

    #[test]
    fn what_differs_in_numbers_alone_is_written_once() {
        let shown = |old: &TaskStatus, reason, message: &str| {
            let observed = Observed { status: old.clone(), ..Observed::default() };
            build(&observed, &StatusIntent::Blocked(Blocked::reconciling(reason, message)))
        };
        let first = shown(&TaskStatus::default(), Reason::ApiError, "read tcp 10.0.0.5:43210: reset");
        assert_eq!(shown(&first, Reason::ApiError, "read tcp 10.0.0.5:50071: reset"), first);
        assert_ne!(shown(&first, Reason::ApiError, "no such host"), first);
        let policy = shown(&TaskStatus::default(), Reason::JobRejected, "policy-a denied request 5f3e9a1c");
        assert_eq!(shown(&policy, Reason::JobRejected, "policy-a denied request 0b7d44e2"), policy);
        assert_ne!(shown(&policy, Reason::JobRejected, "policy-b denied request 5f3e9a1c"), policy);
        assert_ne!(shown(&first, Reason::TargetNotFound, "read tcp 10.0.0.5:50071: reset"), first);
    }
}
