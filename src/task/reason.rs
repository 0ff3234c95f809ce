//! The only place where the reasons of conditions are spelled.

/// Why a condition is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "meaning() documents each one, for people and for the reference page")]
pub enum Reason {
    Succeeded,
    Suspended,
    InvalidSpec,
    Undecodable,
    TargetNotFound,
    TargetAmbiguous,
    TargetGone,
    ContainerNotFound,
    ContainerAmbiguous,
    ImageNotAllowed,
    TemplateUnusable,
    JobNameTaken,
    HelperTampered,
    JobRejected,
    ConcurrencyLimit,
    Superseding,
    Starting,
    Running,
    ImagePullFailed,
    ConfigMissing,
    Unschedulable,
    PodRejected,
    VolumeNotReady,
    SidecarHoldsJob,
    CommandFailed,
    DeadlineExceeded,
    Disrupted,
    InterpreterNotFound,
    OutOfMemory,
    Superseded,
    Lost,
}

impl Reason {
    /// All of them, for the reference page and for tests.
    pub const ALL: &[Self] = &[
        Self::Succeeded,
        Self::Suspended,
        Self::InvalidSpec,
        Self::Undecodable,
        Self::TargetNotFound,
        Self::TargetAmbiguous,
        Self::TargetGone,
        Self::ContainerNotFound,
        Self::ContainerAmbiguous,
        Self::ImageNotAllowed,
        Self::TemplateUnusable,
        Self::JobNameTaken,
        Self::HelperTampered,
        Self::JobRejected,
        Self::ConcurrencyLimit,
        Self::Superseding,
        Self::Starting,
        Self::Running,
        Self::ImagePullFailed,
        Self::ConfigMissing,
        Self::Unschedulable,
        Self::PodRejected,
        Self::VolumeNotReady,
        Self::SidecarHoldsJob,
        Self::CommandFailed,
        Self::DeadlineExceeded,
        Self::Disrupted,
        Self::InterpreterNotFound,
        Self::OutOfMemory,
        Self::Superseded,
        Self::Lost,
    ];

    /// The word that stands in the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Suspended => "Suspended",
            Self::InvalidSpec => "InvalidSpec",
            Self::Undecodable => "Undecodable",
            Self::TargetNotFound => "TargetNotFound",
            Self::TargetAmbiguous => "TargetAmbiguous",
            Self::TargetGone => "TargetGone",
            Self::ContainerNotFound => "ContainerNotFound",
            Self::ContainerAmbiguous => "ContainerAmbiguous",
            Self::ImageNotAllowed => "ImageNotAllowed",
            Self::TemplateUnusable => "TemplateUnusable",
            Self::JobNameTaken => "JobNameTaken",
            Self::HelperTampered => "HelperTampered",
            Self::JobRejected => "JobRejected",
            Self::ConcurrencyLimit => "ConcurrencyLimit",
            Self::Superseding => "Superseding",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::ImagePullFailed => "ImagePullFailed",
            Self::ConfigMissing => "ConfigMissing",
            Self::Unschedulable => "Unschedulable",
            Self::PodRejected => "PodRejected",
            Self::VolumeNotReady => "VolumeNotReady",
            Self::SidecarHoldsJob => "SidecarHoldsJob",
            Self::CommandFailed => "CommandFailed",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Disrupted => "Disrupted",
            Self::InterpreterNotFound => "InterpreterNotFound",
            Self::OutOfMemory => "OutOfMemory",
            Self::Superseded => "Superseded",
            Self::Lost => "Lost",
        }
    }

    /// What it means, in a sentence for the reference page.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Succeeded => "The newest spec was carried out.",
            Self::Suspended => "A run is due, and `spec.suspend` holds it back.",
            Self::InvalidSpec => "The spec breaks a rule; the message names the field and what to write instead.",
            Self::Undecodable => "The stored object does not fit this version's schema; the message says where.",
            Self::TargetNotFound => "No labelled Deployment or PodTemplate matches; the run starts when one appears.",
            Self::TargetAmbiguous => "Several labelled Deployments match; set `spec.target`, or label only one.",
            Self::TargetGone => "The chosen target disappeared just now; the choice is made again.",
            Self::ContainerNotFound => "`spec.target.container` names no container of the target.",
            Self::ContainerAmbiguous => "The target has several containers; name one in `spec.target.container`.",
            Self::ImageNotAllowed => "`spec.image` is neither of the target's repository nor allowed by its owner.",
            Self::TemplateUnusable => "The target's pod template cannot be copied; the message names the field.",
            Self::JobNameTaken => "A Job of somebody else has the name of this run's Job; delete or rename it.",
            Self::HelperTampered => {
                "The helper's ConfigMap does not hold what the operator would put there; delete it."
            }
            Self::JobRejected => "The API server refused the Job; the message is its own.",
            Self::ConcurrencyLimit => "As many Jobs run as the operator's settings allow; this one follows.",
            Self::Superseding => "The run before never started; its pods are still being removed.",
            Self::Starting => "The Job exists; its command has not started yet.",
            Self::Running => "The command runs.",
            Self::ImagePullFailed => "The node cannot pull an image of the pod.",
            Self::ConfigMissing => "A Secret or ConfigMap that the pod refers to, or a key in it, does not exist.",
            Self::Unschedulable => "No node takes the pod.",
            Self::PodRejected => "The pod was refused, by Pod Security, a quota or an admission policy.",
            Self::VolumeNotReady => "A volume cannot be attached or mounted.",
            Self::SidecarHoldsJob => "The command has ended, and a sidecar that does not end holds the Job open.",
            Self::CommandFailed => "The command failed; the message says with what.",
            Self::DeadlineExceeded => "The run took longer than `spec.timeoutSeconds`.",
            Self::Disrupted => "The pod was evicted, preempted or drained, and the command must not run twice unasked.",
            Self::InterpreterNotFound => {
                "The image has no such interpreter; set the annotation `django.my.domain/manage`."
            }
            Self::OutOfMemory => "The kernel killed the command for its memory; raise `spec.resources.limits`.",
            Self::Superseded => "The run never started and gave way to a newer spec.",
            Self::Lost => "The Job was deleted before its end was recorded; ask for a new run.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(reason.as_str(), format!("{reason:?}"));
            assert!(reason.meaning().ends_with('.'));
        }
    }
}
