//! Reasons of conditions, each with its meaning: one table.

macro_rules! reasons {
    ($($reason:ident: $meaning:literal,)*) => {
        /// Why a condition is as it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $meaning] $reason,)*
        }

        impl Reason {
            /// All of them, for the reference page and for tests.
            pub const ALL: &[Self] = &[$(Self::$reason),*];

            /// As it stands in the condition.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => stringify!($reason),)*
                }
            }

            /// What it means, in a sentence for the reference page.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$reason => $meaning,)*
                }
            }
        }
    };
}

reasons! {
    Succeeded: "The newest spec was carried out.",
    Scheduled: "The first run is due by `spec.schedule`; the message says when.",
    Suspended: "A run is due, and `spec.suspend` holds it back.",
    InvalidSpec: "The spec breaks a rule; the message names the field and what to write instead.",
    Undecodable: "The stored object does not fit this version's schema; the message says where.",
    TargetNotFound: "No labelled Deployment or PodTemplate matches; the run starts when one appears.",
    TargetAmbiguous: "Several labelled Deployments match; set `spec.target`, or label only one. Stalled after ten minutes, as a release may have two for a while.",
    TargetGone: "The chosen target disappeared just now; the choice is made again.",
    ContainerNotFound: "`spec.target.container` names no container of the target. Stalled after a minute, as the target may be applied right after the task.",
    ContainerAmbiguous: "The target has several containers; name one in `spec.target.container`. Stalled after a minute.",
    ImageNotAllowed: "`spec.image` is neither of the target's repository nor allowed by its owner. Stalled after a minute.",
    TemplateUnusable: "The target's pod template cannot be copied; the message names the field. Stalled after a minute.",
    DependencyNotFound: "A task that `spec.dependsOn` names does not exist; the run starts when it has succeeded.",
    DependencyNotReady: "A task that `spec.dependsOn` names is to succeed first.",
    DependencyFailed: "A task that `spec.dependsOn` names has failed; this one goes on when that is mended. Where it had failed before this task began to wait, Stalled after a minute, as both may be about to be applied.",
    DependencyCycle: "Tasks wait for each other in a circle, which the message names.",
    JobNameTaken: "A Job of somebody else has the name of this run's Job; delete it. Stalled after ten minutes.",
    JobRejected: "The API server refused the Job, or that it begins; the message is its own. It is tried again, for as long as that lasts.",
    ApiError: "The API server, or a webhook that it asks, keeps answering with an error; the message is its own. Tried again.",
    ConcurrencyLimit: "As many Jobs run as the operator's settings allow; this one follows.",
    Superseding: "The run before gives way to a newer spec; its Job and pods are still being removed.",
    JobDeleted: "Somebody deleted the run's Job; its pods still end.",
    JobSuspended: "Somebody suspended the run's Job; it goes on when they resume it.",
    Starting: "The Job exists; its command has not started yet.",
    Running: "The command runs.",
    ImagePullFailed: "The node cannot pull an image of the pod.",
    ConfigMissing: "A Secret or ConfigMap that the pod refers to, or a key in it, does not exist.",
    Unschedulable: "No node takes the pod.",
    PodRejected: "The pod was refused, by Pod Security, a quota or an admission policy.",
    VolumeNotReady: "A volume cannot be attached or mounted.",
    PodNotStarting: "The pod does not start; the message is the newest warning about it.",
    SidecarHoldsJob: "The command has ended, and a sidecar that does not end holds the Job open.",
    CommandFailed: "The command failed; the message says with what.",
    DeadlineExceeded: "The run took longer than `spec.timeoutSeconds`.",
    StartingDeadlineExceeded: "A run by the clock was held back for longer than `schedule.startingDeadlineSeconds`.",
    Disrupted: "The pod was evicted, preempted or drained, and the command must not run twice unasked.",
    InterpreterNotFound: "The image has no such interpreter; set the annotation `django.my.domain/manage`.",
    OutOfMemory: "The kernel killed the command for its memory; raise `spec.resources.limits`.",
    Superseded: "The run gave way to a newer spec before its command was seen to start.",
    Interrupted: "The command started while its Job was being removed for a newer spec, and was stopped.",
    TakenOver: "Another operator of this group had carried it out; a change or a request runs it again.",
    Lost: "The Job was deleted before its end was recorded; ask for a new run.",
}
