"""What a task does from its creation to its end, and what makes it run again; the test plays the kubelet."""

import time
from datetime import datetime
from pathlib import Path

import pytest
from support.kube import KINDS, account, becomes, completed_at, condition, deployment, eventually, jobs_made, reason, sample, settle, task, writes

# As the seeds' users know them; a kind that came later has what its CRD says.
STAMPS = {"DjangoUser": "created", "DjangoMigrate": "applied", "DjangoStatic": "collected", "DjangoCelery": "executed"}


@pytest.fixture
def one(kube, ns):
    """Helpers for one DjangoMigrate called `m`."""

    class One:
        kind, name = "DjangoMigrate", "m"

        def create(self, **spec):
            return kube.create(ns, task(self.kind, self.name, **spec))

        def get(self):
            return kube.get(self.kind, ns, self.name)

        def patch(self, **spec):
            return kube.patch(self.kind, ns, self.name, {"spec": spec})

        def annotate(self, value):
            return kube.patch(
                self.kind, ns, self.name, {"metadata": {"annotations": {"django.my.domain/requestedAt": value}}}
            )

        def is_ready(self):
            found = self.get()
            fresh = found["status"].get("observedGeneration") == found["metadata"]["generation"]
            return fresh and condition(found, "Ready").get("status") == "True" and found

        def becomes(self, wanted):
            return becomes(kube, ns, self.name, wanted, self.kind)

        def runs(self):
            run = self.get()["status"].get("lastRun") or {}
            return run.get("number", 0)

        def ready_after(self, runs):
            return eventually(lambda: (r := self.is_ready()) and r["status"]["lastRun"]["number"] == runs and r)

    return One()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_runs_one_job_and_says_so(kube, ns, operator, kubelet, kind):
    born = kube.create(ns, task(kind, "t", **sample(kind)))
    assert born["status"] == {"observedGeneration": -1}
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    running = eventually(lambda: reason(kube.get(kind, ns, "t")) == "Running" and kube.get(kind, ns, "t"))
    assert condition(running, "Reconciling")["status"] == "True"
    assert condition(running, "Finished")["status"] == "False"
    kubelet.end(pod)
    done = eventually(lambda: reason(kube.get(kind, ns, "t")) == "Succeeded" and kube.get(kind, ns, "t"))
    status = done["status"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Ready": "True", "Finished": "True", "TargetResolved": "True",
    }
    assert all(c["observedGeneration"] == 1 for c in status["conditions"])
    assert status["observedGeneration"] == 1 and status[STAMPS.get(kind) or completed_at(kind)]
    assert status["lastRun"]["result"] == "Succeeded" and status["lastRun"]["exitCode"] == 0
    assert status["report"]["settings"] == "myapp.settings"
    told = eventually(lambda: len(e := [e for e in kube.list("Event", ns) if e["regarding"].get("name") == "t"]) >= 2 and e)
    assert {e["type"] for e in told} == {"Normal"}
    assert all(e["related"]["kind"] == "Job" for e in told)


def elapsed(first, last):
    """Seconds between two entries of the audit log."""
    when = [datetime.fromisoformat(e["requestReceivedTimestamp"]) for e in (first, last)]
    return (when[1] - when[0]).total_seconds()


def test_a_run_costs_few_requests_and_a_finished_task_none(kube, ns, operator, kubelet, one, audit):
    kubelet.work()
    begin = audit.position()
    one.create()
    one.ready_after(1)
    own = list(audit.entries(account(ns), begin))
    reads = [e for e in own if e["verb"] in ("get", "list") and e["objectRef"].get("resource") != "events"]
    # The helper's ConfigMap is made once in a namespace.
    changes = [e for e in writes(own) if e["objectRef"]["resource"] != "configmaps"]
    assert len(reads) <= 2, [(e["verb"], e["requestURI"]) for e in reads]
    # One more where the machine was so slow that the Job's UID was worth a write of its own.
    slow = elapsed(changes[0], changes[-1]) > 4
    assert len(changes) <= 4 + slow, [(e["verb"], e["requestURI"]) for e in changes]
    kubelet.stop()
    begin = audit.position()
    kube.patch("Deployment", ns, "web", {"metadata": {"labels": {"touched": "1"}}})
    operator.kill()
    operator.start()
    time.sleep(3)  # a window in which nothing may happen; there is no condition to wait for
    # The last run's event may come after its status.
    quiet = [e for e in audit.entries(account(ns), begin) if e["verb"] not in ("list", "watch") and e["objectRef"].get("resource") != "events"]
    assert quiet == []


def test_only_what_asks_for_a_run_gets_one(kube, ns, operator, kubelet, one, audit):
    kubelet.work()
    begin = audit.position()
    one.create()
    one.ready_after(1)
    one.patch(suspend=True, timeoutSeconds=99, retries=2, historyLimit=9, resources={"limits": {"memory": "1Gi"}})
    suspended = eventually(lambda: condition(one.get(), "Suspended").get("status") == "True" and one.get())
    assert condition(suspended, "Ready")["status"] == "True", "what was done stays done"
    one.patch(suspend=False)
    eventually(lambda: one.is_ready() and not condition(one.get(), "Suspended"))
    one.patch(app="", migration=None, lock={"id": 1000})
    one.ready_after(1)
    one.patch(app="myapp")
    one.ready_after(2)
    one.patch(trigger="v2")
    one.ready_after(3)
    one.annotate("now")
    asked = one.ready_after(4)
    assert asked["status"]["lastHandledRequest"] == "now"
    one.annotate(None)
    one.annotate("")
    one.annotate("now")
    one.patch(app="other")
    one.ready_after(5)
    assert len(one.get()["status"]["history"]) == 4
    assert jobs_made(audit.entries(account(ns), begin)) and all(
        n == 1 for n in jobs_made(audit.entries(account(ns), begin)).values()
    )
    assert len(jobs_made(audit.entries(account(ns), begin))) == 5
    eventually(lambda: len(kube.list("Job", ns)) == 5)
    one.patch(historyLimit=2)
    eventually(lambda: len([j for j in kube.list("Job", ns) if "deletionTimestamp" not in j["metadata"]]) == 2)


def test_a_suspended_task_with_a_run_pending_is_not_ready(kube, ns, operator, kubelet, one):
    kubelet.work()
    one.create(suspend=True)
    held = one.becomes("Suspended")
    assert condition(held, "Ready")["status"] == "False" and condition(held, "Suspended")["status"] == "True"
    assert not condition(held, "Stalled") and not condition(held, "Reconciling") and kube.list("Job", ns) == []
    one.patch(suspend=False)
    one.ready_after(1)


def test_an_edit_in_the_middle_of_a_run_runs_once_after_it(kube, ns, operator, kubelet, one):
    one.create()
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    one.becomes("Running")
    for app in ("a", "b", "c"):
        one.patch(app=app)
    eventually(lambda: one.get()["status"]["observedGeneration"] == 4)
    assert len(kube.list("Job", ns)) == 1
    kubelet.end(pod)
    second = eventually(lambda: [p for p in kubelet.pods() if p["metadata"]["name"] != pod["metadata"]["name"]])[0]
    assert second["spec"]["containers"][0]["args"][-1] == "c"
    waiting = one.get()
    assert condition(waiting, "Ready")["status"] == "False", "a waiter must not pass between the runs"
    kubelet.end(second)
    assert one.ready_after(2)["status"]["history"][0]["result"] == "Succeeded"


def test_a_failed_run_is_terminal_until_somebody_acts(kube, ns, operator, kubelet, one):
    one.create()
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.end(pod, 1, {"ok": False, "reason": "LockTimeout", "message": "held by \x1b[31mX"})
    failed = one.becomes("LockTimeout")
    assert condition(failed, "Stalled")["status"] == condition(failed, "Finished")["status"] == "True"
    assert failed["status"]["lastRun"]["exitCode"] == 1 and "applied" not in failed["status"]
    assert condition(failed, "Ready")["message"] == "held by [31mX"
    assert kube.kubectl("wait", "-n", ns, "--for=condition=Finished", "djm/m", "--timeout=5s").returncode == 0
    assert kube.kubectl("wait", "-n", ns, "--for=condition=Ready", "djm/m", "--timeout=1s", check=False).returncode
    one.annotate("again")
    second = eventually(lambda: [p for p in kubelet.pods() if p["metadata"]["name"] != pod["metadata"]["name"]])[0]
    kubelet.end(second)
    one.ready_after(2)


def test_a_job_deleted_in_mid_run_is_lost_and_not_run_again(kube, ns, operator, kubelet, one):
    one.create()
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    one.becomes("Running")
    kube.delete("Job", ns, one.get()["status"]["lastRun"]["jobName"])
    lost = one.becomes("Lost")
    assert lost["status"]["lastRun"]["result"] == "Lost" and one.runs() == 1
    assert condition(lost, "Stalled")["status"] == "True"


def test_deleting_and_creating_again_runs_again(kube, ns, operator, kubelet, one, audit):
    kubelet.work()
    begin = audit.position()
    for _ in range(5):
        one.create()
        one.ready_after(1)
        kube.delete(one.kind, ns, one.name)
        eventually(lambda: one.get() is None)
    made = jobs_made(audit.entries(account(ns), begin))
    assert len(made) == 5 and set(made.values()) == {1}
    eventually(lambda: kube.list("Job", ns) == [])


def test_on_image_change_runs_when_the_image_changes_and_only_then(kube, ns, operator, kubelet, one):
    kubelet.work()
    one.create(runPolicy="OnImageChange")
    one.ready_after(1)
    container = {"name": "django", "image": "localhost/myapp:2"}
    kube.patch("Deployment", ns, "web", {"spec": {"template": {"spec": {"containers": [container]}}}})
    assert one.ready_after(2)["status"]["lastRun"]["image"] == "localhost/myapp:2"
    container["env"] = [{"name": "A", "value": "b"}]
    kube.patch("Deployment", ns, "web", {"spec": {"template": {"spec": {"containers": [container]}}}})
    kube.delete("Deployment", ns, "web")
    unresolved = eventually(lambda: condition(one.get(), "TargetResolved").get("status") == "False" and one.get())
    assert condition(unresolved, "Ready")["status"] == "True" and one.runs() == 2


def test_a_pod_template_can_be_the_target(kube, ns, operator, kubelet, one):
    kubelet.work()
    one.create(target={"podTemplate": "next"})
    one.becomes("TargetNotFound")
    kube.create(ns, {
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "next"},
        "template": deployment()["spec"]["template"],
    })
    assert one.ready_after(1)["status"]["lastRun"]["target"]["kind"] == "PodTemplate"


def test_a_finished_task_stays_finished_over_a_restart_and_an_upgrade(kube, ns, operators, kubelet, one, audit, tmp_path):
    kubelet.work()
    operator = operators(ns).start()
    one.create()
    one.ready_after(1)
    assert operator.stop() == 0
    begin = audit.position()
    # Another operator: another helper by one byte, and other generated arguments.
    program = bytearray(Path(operator.binary).read_bytes())
    assert program.count(b"--migration-lock-timeout=") == 1
    program = program.replace(b"--migration-lock-timeout=", b"--MIGRATION-LOCK-TIMEOUT=")
    comment = program.index(b"django_operator_tasks/job/report.py")
    program[comment - 20] ^= 1  # the time of that file in the zip
    upgraded = tmp_path / "upgraded"
    upgraded.write_bytes(program)
    upgraded.chmod(0o755)
    operators(ns, binary_path=str(upgraded)).start()
    kube.create(ns, task("DjangoMigrate", "new"))
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "new")) == "Succeeded")
    assert one.runs() == 1
    made = jobs_made(audit.entries(account(ns), begin))
    assert len(made) == 1
    job = kube.get("Job", ns, list(made)[0])
    assert "--MIGRATION-LOCK-TIMEOUT=300" in job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert len([c for c in kube.list("ConfigMap", ns) if c["metadata"]["name"].startswith("django-operator-tasks-")]) == 2


def test_finished_resources_beyond_the_number_go_but_not_those_that_a_tool_tracks(kube, ns, operators, kubelet):
    kubelet.work()
    operators(ns, NUM_OLD_CRS="2").start()
    tracked = task("DjangoMigrate", "tracked")
    tracked["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    kube.create(ns, tracked)
    for name in ("a", "b", "c", "d"):
        kube.create(ns, task("DjangoMigrate", name))
        eventually(lambda: (t := kube.get("DjangoMigrate", ns, name)) and reason(t) == "Succeeded")
        time.sleep(1.1)  # creation timestamps have seconds
    eventually(lambda: {t["metadata"]["name"] for t in kube.list("DjangoMigrate", ns)} == {"tracked", "c", "d"})


def test_the_number_of_jobs_at_once_can_be_limited(kube, ns, operators, kubelet, audit):
    operators(ns, MAX_CONCURRENT_JOBS="1").start()
    for name in ("a", "b", "c"):
        kube.create(ns, task("DjangoMigrate", name))
    def reasons():
        return sorted(reason(t) or "" for t in kube.list("DjangoMigrate", ns))
    eventually(lambda: reasons() == ["ConcurrencyLimit", "ConcurrencyLimit", "Starting"])
    eventually(lambda: kube.list("Job", ns), "the Job, which comes after the intent")
    settle(audit, account(ns))
    assert len(kube.list("Job", ns)) == 1
    kubelet.work()
    eventually(lambda: reasons() == ["Succeeded"] * 3)


def test_two_operators_in_two_namespaces_do_not_disturb_each_other(kube, ns, operators, kubelet, audit):
    from support.fixtures import make_namespace
    from support.operator import grant

    other = make_namespace(kube, ns[:50] + "-other")
    grant(kube, other)
    kube.create(other, deployment())
    operators(ns).start()
    operators(other).start()
    begin = audit.position()
    for where in (ns, other):
        kube.create(where, task("DjangoMigrate", "m"))
    for where in (ns, other):
        eventually(lambda: kube.list("Job", where))
    for where, foreign in ((ns, other), (other, ns)):
        touched = {e["objectRef"].get("namespace") for e in audit.entries(account(where), begin) if "objectRef" in e}
        assert where in touched and foreign not in touched


def test_one_operator_can_work_in_several_namespaces(kube, ns, operators):
    from support.fixtures import make_namespace
    from support.operator import grant

    second = make_namespace(kube, ns[:50] + "-second")
    grant(kube, ns, watched=[second])
    kube.create(second, deployment())
    operators(ns, WATCH_NAMESPACE="%s,%s" % (ns, second)).start()
    for where in (ns, second):
        kube.create(where, task("DjangoMigrate", "m"))
    for where in (ns, second):
        eventually(lambda: kube.list("Job", where))


def test_a_standby_takes_over_and_the_first_gives_the_lease_back(kube, ns, operators, kubelet, one):
    kubelet.work()
    first = operators(ns, LEADER_ELECTION="true", name="first").start()
    eventually(lambda: "django_operator_leader 1" in first.http("/metrics")[1])
    second = operators(ns, LEADER_ELECTION="true", name="second").start()
    assert "django_operator_leader 0" in second.http("/metrics")[1]
    one.create()
    one.ready_after(1)
    assert first.stop() == 0
    one.patch(trigger="2")
    one.ready_after(2)
    assert "django_operator_leader 1" in second.http("/metrics")[1]


def test_health_metrics_and_a_clean_stop(kube, ns, operator, kubelet, one):
    kubelet.work()
    one.create()
    one.ready_after(1)
    assert operator.http("/livez")[0] == operator.http("/readyz")[0] == 200
    for line in ('runs_total{kind="DjangoMigrate",namespace="%s",result="Succeeded"} 1' % ns, 'reconcile_total{kind="DjangoMigrate",result="ok"}'):
        eventually(lambda: "django_operator_" + line in operator.http("/metrics")[1], line)
    assert operator.stop() == 0
    assert "panicked" not in operator.log.read_text()
