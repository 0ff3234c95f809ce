//! What it means that the API server refuses an object: pure.

use kube::core::Status;

use crate::core::{Blocked, Reason};

/// Of a Job. `None`: it says nothing about the Job, and is to be tried again.
pub fn of_job(status: &Status) -> Option<Blocked> {
    match status.code {
        // It stays wrong until somebody changes the target or the spec.
        400 | 422 => Some(Blocked::stalled(Reason::JobRejected, status.message.clone())),
        // A quota, a right or a policy, which change by themselves as seen from here.
        403 => Some(Blocked::reconciling(Reason::JobRejected, status.message.clone())),
        _ => None,
    }
}

/// Of the helper's ConfigMap, likewise.
pub fn of_helper(name: &str, status: &Status) -> Option<Blocked> {
    let message = || format!("ConfigMap {name}: {}", status.message);
    matches!(status.code, 400 | 403 | 422).then(|| Blocked::reconciling(Reason::JobRejected, message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_blocks_and_a_fault_does_not() {
        for (code, job, helper) in [
            (400, Some(true), Some(false)),
            (403, Some(false), Some(false)),
            (422, Some(true), Some(false)),
            (404, None, None),
            (409, None, None),
            (429, None, None),
            (500, None, None),
        ] {
            let status = Status::failure("no", "Reason").with_code(code);
            let stalled = |blocked: Option<Blocked>| blocked.map(|b| b.stalled);
            assert_eq!(stalled(of_job(&status)), job, "{code}");
            assert_eq!(stalled(of_helper("h", &status)), helper, "{code}");
        }
        let status = Status::failure("no", "Invalid").with_code(422);
        assert_eq!(of_helper("h", &status).map(|b| b.message), Some("ConfigMap h: no".into()));
    }
}
