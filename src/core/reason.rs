//! Reasons of conditions, each with its meaning and with what to do: one table.

macro_rules! reasons {
    ($($reason:ident: $meaning:literal => $remedy:literal,)*) => {
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

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$reason => $meaning,)*
                }
            }

            /// What to do about it.
            pub fn remedy(self) -> &'static str {
                match self {
                    $(Self::$reason => $remedy,)*
                }
            }
        }
    };
}

reasons! {
    Succeeded: "The newest spec was carried out." => "Nothing.",
    Scheduled: "The first run is due by `spec.schedule`; the message says when." => "Nothing; `spec.trigger` or the annotation `django.my.domain/requestedAt` runs it at once.",
    Suspended: "A run is due, and `spec.suspend` holds it back." => "Set `spec.suspend` to false.",
    InvalidSpec: "The spec breaks a rule; the message names the field and what to write instead." => "Edit the field that the message names.",
    Undecodable: "The stored object does not fit this version's schema; the message says where." => "Edit the object as the message says, or apply the kinds of the operator's version.",
    TargetNotFound: "No labelled Deployment or PodTemplate matches; the run starts when one appears." => "Put the label on the Deployment's pod template, or correct `spec.target`.",
    TargetAmbiguous: "Several labelled Deployments match; set `spec.target`, or label only one. Stalled after ten minutes, as a release may have two for a while." => "Set `spec.target.deployment` to one of those that the message names.",
    TargetGone: "The chosen target disappeared just now; the choice is made again." => "Nothing.",
    ContainerNotFound: "`spec.target.container` names no container of the target. Stalled after a minute, as the target may be applied right after the task." => "Set `spec.target.container` to a container of the target.",
    ContainerAmbiguous: "The target has several containers; name one in `spec.target.container`. Stalled after a minute. Of GateMisconfigured: pods do not wait for migrations, as nothing tells which container is Django's." => "Set `spec.target.container`, or the annotation `kubectl.kubernetes.io/default-container` of the target's pod template.",
    ClassicSidecar: "Of GateMisconfigured: the database is reached by a container that starts after init containers, so that pods do not wait for migrations." => "Make that container a native sidecar: an init container with `restartPolicy: Always`.",
    MigratesItself: "Of GateMisconfigured: the pods migrate in a container of their own, and so do not wait for others to do it." => "Take `migrate` out of the container's command, and let a DjangoMigrate do it.",
    InvalidAnnotation: "Of GateMisconfigured: an annotation of the pod template has a value that cannot be followed, or stands in the wrong place." => "Write it as the message says.",
    ImageNotAllowed: "`spec.image` is neither of the target's repository nor allowed by its owner. Stalled after a minute." => "Use an image of the target's repository, or annotate the target with `django.my.domain/allow-images`.",
    TemplateUnusable: "The target's pod template cannot be copied; the message names the field. Stalled after a minute." => "Change the field of the target that the message names.",
    DependencyNotFound: "A task that `spec.dependsOn` names does not exist; the run starts when it has succeeded." => "Create the task, or take it out of `spec.dependsOn`.",
    DependencyNotReady: "A task that `spec.dependsOn` names is to succeed first." => "Nothing; the message names the task that is waited for.",
    DependencyFailed: "A task that `spec.dependsOn` names has failed; this one goes on when that is mended. Where it had failed before this task began to wait, Stalled after a minute, as both may be about to be applied." => "Look at the task that the message names, and mend it.",
    DependencyCycle: "Tasks wait for each other in a circle, which the message names." => "Take one of the tasks that the message names out of another's `spec.dependsOn`.",
    JobNameTaken: "A Job of somebody else has the name of this run's Job; delete it. Stalled after ten minutes." => "Delete the Job that the message names, if nobody needs it.",
    JobRejected: "The API server refuses the Job, or its start; the message is its own. It is tried again, for as long as that lasts." => "Read the message: most often a policy, a webhook or a quota refuses. Change the target, the task or the rule.",
    ApiError: "The API server, or a webhook that it asks, keeps answering with an error; the message is its own. Tried again." => "Look at the API server, or at the webhook that the message names.",
    ConcurrencyLimit: "As many Jobs run as the operator's settings allow; this one follows." => "Nothing; the operator's setting `MAX_CONCURRENT_JOBS` is the limit.",
    Superseding: "The run before gives way to a newer spec; its Job and pods are still being removed." => "Nothing.",
    JobDeleted: "Somebody deleted the run's Job; its pods still end." => "Wait for its pods to end, then ask for a new run by `spec.trigger`.",
    JobSuspended: "Somebody suspended the run's Job; it goes on when they resume it." => "Set `spec.suspend` of the Job to false, or delete it.",
    Starting: "The Job exists; its command has not started yet." => "Nothing.",
    Running: "The command runs." => "Nothing; `kubectl logs job/NAME` shows how far it is, with the name in `status.lastRun.jobName`.",
    ImagePullFailed: "The node cannot pull an image of the pod." => "Correct the image or the target's pull secrets, then ask for a new run by `spec.trigger`; it takes the place of this one. An edit of `spec.image` does so by itself.",
    ConfigMissing: "A Secret or ConfigMap that the pod refers to, or a key in it, does not exist." => "Create the Secret or ConfigMap that the message names; the pod goes on by itself.",
    Unschedulable: "No node takes the pod." => "Read the message. More room in the cluster is enough; after a change of `spec.resources` or of the target, ask for a new run by `spec.trigger`, which takes the place of this one.",
    PodRejected: "The pod was refused, by Pod Security, a quota or an admission policy, or one of its containers cannot be started or keeps ending." => "Read the message. A larger quota is enough; after a change of the target, ask for a new run by `spec.trigger`, which takes the place of this one. A container that keeps ending: look at its log.",
    VolumeNotReady: "A volume cannot be attached or mounted." => "Look at the claim that the message names; a volume that one node alone may mount is held by another pod. After a change of the target, ask for a new run by `spec.trigger`.",
    PodNotStarting: "The pod does not start; the message is the newest warning about it." => "Read the message, and `kubectl describe pod`. After a change of the target, ask for a new run by `spec.trigger`, which takes the place of this one.",
    SidecarHoldsJob: "The command has ended, and a sidecar that does not end holds the Job open." => "Have the container's injector make it a native sidecar, or leave pods labelled `app.kubernetes.io/managed-by=django-operator` alone; delete the pod to end this run.",
    CommandFailed: "The command failed; the message says with what." => "Read the message and the pod's log; mend the cause, then ask for a new run by `spec.trigger`.",
    DeadlineExceeded: "The run took longer than `spec.timeoutSeconds`." => "Raise `spec.timeoutSeconds`, or find out what the command waits for; then ask for a new run.",
    StartingDeadlineExceeded: "A run by the clock was held back for longer than `schedule.startingDeadlineSeconds`." => "Nothing; the next due time runs. Raise the deadline if runs are held back for long.",
    Disrupted: "The pod was evicted, preempted or drained, and the command must not run twice unasked." => "Ask for a new run by `spec.trigger`, if it may run again.",
    InterpreterNotFound: "The image has no such interpreter; set the annotation `django.my.domain/manage`." => "Annotate the target with `django.my.domain/manage`, such as `/venv/bin/python manage.py`.",
    OutOfMemory: "The kernel killed the command for its memory; raise `spec.resources.limits`." => "Raise `spec.resources.limits.memory`, then ask for a new run.",
    Superseded: "The run gave way to a newer spec before its command was seen to start." => "Nothing.",
    Interrupted: "The command started while its Job was being removed for a newer spec, and was stopped." => "Nothing; the run of the newer spec follows.",
    TakenOver: "Another operator of this group had carried it out; a change or a request runs it again." => "Nothing; `spec.trigger` runs it again.",
    Lost: "The Job was deleted before its end was recorded; ask for a new run." => "Find out whether the command ran, then ask for a new run by `spec.trigger`.",
}
