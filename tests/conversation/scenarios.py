"""What the plans disturb: each a short story with one end."""

from support.kube import becomes, eventually, reason, task
from support.kubelet import OK

ACTIONS = {"DjangoCelery": "purged", "DjangoCommand": "executed"}


class Scenario:
    kind, name, spec = "DjangoMigrate", "m", {}
    # Whether its Jobs are created suspended.
    held = False

    def __init__(self, kube, ns, kubelet):
        self.kube, self.ns, self.kubelet = kube, ns, kubelet

    def create(self, **spec):
        self.kube.create(self.ns, task(self.kind, self.name, **{**self.spec, **spec}))

    def edit(self, **spec):
        self.kube.patch(self.kind, self.ns, self.name, {"spec": spec})

    def get(self):
        return self.kube.get(self.kind, self.ns, self.name)

    def becomes(self, wanted):
        return becomes(self.kube, self.ns, self.name, wanted, self.kind)

    def pod(self, run):
        """The pod of a run, when it is there."""
        return self.kubelet.pod_of_run(self.kind, self.name, run)

    def fail_to_start(self):
        """Creates the task, whose first pod finds no image; that pod."""
        self.create()
        pod = self.pod(1)
        self.kubelet.wait(pod, "ErrImagePull", "no such image")
        self.becomes("ImagePullFailed")
        return pod

    def running(self, run):
        """Plays the kubelet for the first half of a run; its pod."""
        pod = self.pod(run)
        self.kubelet.run(pod)
        self.becomes("Running")
        return pod

    def play(self, run):
        """Plays the kubelet for one run, each state only when the operator has recorded the one before."""
        pod = self.running(run)
        self.kubelet.end(pod, line={**OK, "action": ACTIONS.get(self.kind, "applied")})
        self.done(run)

    def done(self, run):
        def ended():
            found = self.get()
            fresh = found["status"].get("observedGeneration") == found["metadata"]["generation"]
            return fresh and reason(found) == "Succeeded" and found["status"]["lastRun"]["number"] == run

        eventually(ended, "the end of run %d recorded" % run)


class Plain(Scenario):
    """A task that runs, is asked to run again, and prunes the first run's Job."""

    jobs = 2

    def act(self):
        self.create(historyLimit=1)
        self.play(1)
        self.edit(trigger="2")
        self.play(2)
        eventually(lambda: len(self.kube.list("Job", self.ns)) == 1, "the first run's Job pruned")


class Purge(Scenario):
    """A command that must not run twice."""

    kind, spec, jobs, held = "DjangoCelery", {"app": "myapp"}, 1, True

    def act(self):
        self.create()
        self.play(1)


class Superseded(Scenario):
    """A run that never starts and gives way to an edit."""

    jobs = 2

    def act(self):
        self.fail_to_start()
        self.edit(app="myapp")
        self.play(2)


class Interrupted(Scenario):
    """The same, but its command starts while its Job is being removed."""

    jobs = 2

    def act(self):
        pod = self.fail_to_start()
        # As a kubelet does that ends a pod slowly.
        self.keep(pod, ["example.com/slow"])
        job = self.get()["status"]["lastRun"]["jobName"]
        self.edit(app="myapp")
        eventually(lambda: self.kube.get("Job", self.ns, job) is None, "its Job deleted")
        self.kubelet.run(pod)
        eventually(lambda: self.get()["status"]["lastRun"].get("commandStartedAt"), "its start recorded")
        eventually(lambda: self.kube.list("Job", self.ns) == [], "nothing starts while it runs; what comes late is found")
        self.keep(pod, None)
        self.play(2)

    def keep(self, pod, finalizers):
        self.kube.patch("Pod", self.ns, pod["metadata"]["name"], {"metadata": {"finalizers": finalizers}})


class Stuck(Scenario):
    """A pod that does not start for a while, which only an event tells of; then its run fails, and is asked for again."""

    jobs = 2

    def act(self):
        self.create()
        pod = self.pod(1)
        self.kubelet.tell(pod, "FailedCreatePodSandBox", "no network")
        self.becomes("PodNotStarting")
        self.kubelet.run(pod)
        self.becomes("Running")
        self.kubelet.end(pod, 1, {"ok": False, "reason": "LockTimeout", "message": "held"})
        self.becomes("LockTimeout")
        request = {"metadata": {"annotations": {"django.my.domain/requestedAt": "now"}}}
        self.kube.patch(self.kind, self.ns, self.name, request)
        self.play(2)


class Following(Scenario):
    """A task that follows its target's image, is held back for a while, and runs for each."""

    spec, jobs = {"runPolicy": "OnImageChange"}, 2

    def act(self):
        self.create(suspend=True)
        self.becomes("Suspended")
        self.edit(suspend=False)
        self.play(1)
        container = {"name": "django", "image": "localhost/myapp:2"}
        self.kube.patch("Deployment", self.ns, "web", {"spec": {"template": {"spec": {"containers": [container]}}}})
        self.play(2)


class Resumed(Scenario):
    """Two commands of which the second fails, and is where the next run begins, as a request asks for."""

    kind, spec, jobs, held = "DjangoCommand", {"commands": [["check"], ["clearsessions"]], "resume": True}, 2, True

    def act(self):
        self.create()
        steps = [{"name": "check", "state": "Succeeded", "exitCode": 0}, {"name": "clearsessions", "state": "Failed", "exitCode": 1}]
        failed = {"ok": False, "reason": "CommandFailed", "message": "no", "action": "executed", "count": 1, "steps": steps}
        self.kubelet.end(self.running(1), 1, failed)
        self.becomes("CommandFailed")
        request = {"metadata": {"annotations": {"django.my.domain/requestedAt": "now"}}}
        self.kube.patch(self.kind, self.ns, self.name, request)
        self.play(2)


class Scheduled(Scenario):
    """A command by the clock, which nobody has looked at for years, and which comes due while it is looked at."""

    kind, jobs, held = "DjangoCommand", 1, True
    spec = {"commands": [["check"]], "schedule": {"cron": "@yearly"}}

    def act(self):
        self.create()
        self.becomes("Scheduled")
        away = {"status": {"schedule": {"lastDueTime": "2020-06-01T00:00:00Z"}}}
        self.kube.patch(self.kind, self.ns, self.name, away, "/status")
        self.play(1)


class Chain(Scenario):
    """A task that waits for another, and runs again when that has."""

    kind, name, jobs = "DjangoStatic", "s", 4
    spec = {"dependsOn": [{"kind": "DjangoMigrate", "name": "m"}], "rerunWithDependencies": True}

    def act(self):
        first = Scenario(self.kube, self.ns, self.kubelet)
        self.create()
        self.becomes("DependencyNotFound")
        first.create()
        self.becomes("DependencyNotReady")
        first.play(1)
        self.play(1)
        first.edit(trigger="2")
        self.becomes("DependencyNotReady")
        first.play(2)
        self.play(2)


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (Plain, Purge, Superseded, Interrupted, Stuck, Following, Resumed, Scheduled, Chain)
}
