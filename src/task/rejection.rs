//! What it means that the API server refuses an object: pure.

use kube::core::Status;

use crate::core::text::one_line;
use crate::core::{Blocked, Reason};

/// Of a Job. `None`: it is no verdict of the API server about the Job, whatever its HTTP code; a proxy in between can
/// answer anything. To be tried again.
pub fn of_job(status: &Status) -> Option<Blocked> {
    verdict(status, "")
}

/// Of the helper's ConfigMap, likewise.
pub fn of_helper(name: &str, status: &Status) -> Option<Blocked> {
    verdict(status, &format!("ConfigMap {name}: "))
}

fn verdict(status: &Status, subject: &str) -> Option<Blocked> {
    let message = one_line(&format!("{subject}{}", status.message));
    match status.reason.as_str() {
        // A quota, a right, a policy, or something about the target: it is tried again, and so nobody is told that
        // nothing more happens.
        "Forbidden" | "Invalid" | "BadRequest" | "RequestEntityTooLarge" => {
            Some(Blocked::reconciling(Reason::JobRejected, message))
        }
        // A webhook that denies without a reason; kube gives one to what is no Status.
        "" if status.message.starts_with("admission webhook") && status.message.contains("denied the request") => {
            Some(Blocked::reconciling(Reason::JobRejected, message))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Remedy;

    #[test]
    fn a_verdict_blocks_and_a_fault_does_not() {
        for (code, reason, expected) in [
            (400, "BadRequest", Some(Remedy::Time)),
            (403, "Forbidden", Some(Remedy::Time)),
            (422, "Invalid", Some(Remedy::Time)),
            (403, "Failed to parse error data", None), // what kube makes of a proxy's HTML
            (400, "", None),
            (404, "NotFound", None),
            (409, "Conflict", None),
            (429, "TooManyRequests", None),
            (500, "InternalError", None),
        ] {
            let status = Status::failure("no", reason).with_code(code);
            assert_eq!(of_job(&status).map(|b| b.remedy), expected, "{code} {reason}");
            assert_eq!(of_helper("h", &status).map(|b| b.remedy), expected, "{code} {reason}");
        }
        let denied = Status::failure("admission webhook \"p\" denied the request: no", "").with_code(400);
        assert_eq!(of_job(&denied).map(|b| b.remedy), Some(Remedy::Time));
        let status = Status::failure("no\n\u{1b}[31m way", "Invalid").with_code(422);
        assert_eq!(of_helper("h", &status).map(|b| b.message), Some("ConfigMap h: no [31m way".into()));
    }
}
