"""Crashes, lost replies and rivals: not by luck, but at every write of a run. However it goes, each run has
exactly one Job and everything ends as it would have without the fault."""

import copy
import os
import threading
import time

import pytest
from support.kube import deployment, eventually, jobs_made, reason, settle, task, writes
from support.kubelet import Kubelet
from support.operator import grant
from support.proxy import Proxy

FAULTS = ("before", "after", "lose-reply", "504-after")


def account(ns):
    return "system:serviceaccount:%s:django-operator" % ns


class Plain:
    """A task that runs, is asked to run again, and prunes the first run's Job."""

    writes = [
        ("POST configmaps", 1),
        ("PUT djangomigrates/status", 1),  # the intent
        ("POST jobs", 1),
        ("PUT djangomigrates/status", 2),  # running, with the Job's UID
        ("PUT djangomigrates/status", 3),  # the end
        ("PUT djangomigrates/status", 4),  # the second intent
        ("POST jobs", 2),
        ("PUT djangomigrates/status", 6),  # the second end
        ("DELETE jobs", 1),  # beyond the history
    ]
    jobs = 2

    @staticmethod
    def act(kube, ns, kubelet):
        kube.create(ns, task("DjangoMigrate", "m", historyLimit=1))
        play(kube, ns, kubelet, 1)
        kube.patch("DjangoMigrate", ns, "m", {"spec": {"trigger": "2"}})
        play(kube, ns, kubelet, 2)
        eventually(lambda: len(kube.list("Job", ns)) == 1, "the first run's Job pruned")


class Superseded:
    """A run that never starts and gives way to an edit."""

    writes = [
        ("PUT djangomigrates/status", 2),  # the obstacle
        ("PUT djangomigrates/status", 3),  # superseded
        ("DELETE jobs", 1),
        ("PUT djangomigrates/status", 4),
        ("POST jobs", 2),
    ]
    jobs = 2

    @staticmethod
    def act(kube, ns, kubelet):
        kube.create(ns, task("DjangoMigrate", "m"))
        pod = eventually(lambda: kubelet.pods())[0]
        kubelet.wait(pod, "ErrImagePull", "no such image")
        eventually(lambda: reason(kube.get("DjangoMigrate", ns, "m")) == "ImagePullFailed")
        kube.patch("DjangoMigrate", ns, "m", {"spec": {"app": "myapp"}})
        play(kube, ns, kubelet, 2)


def play(kube, ns, kubelet, run):
    """Plays the kubelet for one run, each state only when the operator has recorded the one before."""

    def pending():
        found = kube.get("DjangoMigrate", ns, "m")
        last = found["status"].get("lastRun") or {}
        if last.get("number") != run:
            return None
        pods = [p for p in kubelet.pods(last["jobName"]) if "deletionTimestamp" not in p["metadata"]]
        return pods and pods[0]

    pod = eventually(pending, "a pod of run %d" % run)
    kubelet.run(pod)
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "m")) == "Running", "run %d recorded as running" % run)
    kubelet.end(pod)
    eventually(lambda: done(kube, ns, run), "the end of run %d recorded" % run)


def done(kube, ns, run):
    found = kube.get("DjangoMigrate", ns, "m")
    fresh = found["status"].get("observedGeneration") == found["metadata"]["generation"]
    return fresh and reason(found) == "Succeeded" and found["status"]["lastRun"]["number"] == run


def masked(status):
    """The status without what differs from one namespace and one second to the next."""
    status = copy.deepcopy(status)
    for c in status["conditions"]:
        c.pop("lastTransitionTime")
        if c["type"] in ("Ready", "Finished"):
            c["message"] = c["message"].split(" in ")[0]
    status.pop("applied")
    for run in [status["lastRun"], *status.get("history", [])]:
        for field in ("startedAt", "finishedAt", "durationSeconds", "jobName", "jobUid", "message"):
            run.pop(field, None)
        run.get("target", {}).pop("uid", None)
    return status


LEARNED = {}


@pytest.fixture
def faultless(kube, ns, operators, audit, request):
    """The end state of a scenario without a fault, learned once in a namespace of its own."""
    from conftest import make_namespace

    def learn(scenario):
        if scenario not in LEARNED:
            where = make_namespace(kube, "faultless-" + os.urandom(4).hex())
            grant(kube, where)
            kube.create(where, deployment())
            LEARNED[scenario], seen = run_scenario(kube, where, operators, Kubelet(kube, where), audit, scenario)
            for write, nth in scenario.writes:
                assert seen.count(write) >= nth, "the plan names a write that does not happen: %s %d; %s" % (write, nth, seen)
        return LEARNED[scenario]

    return learn


def run_scenario(kube, ns, operators, kubelet, audit, scenario, plan=None, crash=False):
    """Runs it with the operator behind a proxy that follows the plan; returns what came of it."""
    begin = audit.position()
    operator = None

    def kill():
        if crash:
            operator.kill()

    proxy = Proxy(kube.server, plan, kill)
    operator = operators(ns, server=proxy.url)
    stopping = threading.Event()

    def revive():
        while not stopping.wait(0.05):
            if operator.process and not operator.alive():
                operator.start(wait=False)

    operator.start()
    keeper = threading.Thread(target=revive, daemon=True)
    keeper.start()
    try:
        scenario.act(kube, ns, kubelet)
        settle(audit, account(ns))
    finally:
        stopping.set()
        keeper.join()
        operator.kill()
        proxy.close()
    assert "panicked" not in operator.log.read_text()
    made = jobs_made(audit.entries(account(ns), begin))
    assert len(made) == scenario.jobs and set(made.values()) == {1}, made
    return masked(kube.get("DjangoMigrate", ns, "m")["status"]), proxy.seen


PLANS = [
    pytest.param(scenario, write, nth, fault, id="%s-%s-%d-%s" % (scenario.__name__, write.replace("/", "."), nth, fault))
    for scenario in (Plain, Superseded)
    for write, nth in scenario.writes
    for fault in FAULTS
]


@pytest.mark.parametrize("scenario, write, nth, fault", PLANS)
def test_a_fault_at_one_write_changes_nothing(kube, ns, operators, kubelet, audit, faultless, scenario, write, nth, fault):
    expected = faultless(scenario)
    struck = []

    def plan(this, count):
        if (this, count) == (write, nth) and not struck:
            struck.append(fault)
            return fault
        return None

    state, _ = run_scenario(
        kube, ns, operators, kubelet, audit, scenario, plan, crash=fault in ("before", "after")
    )
    assert struck, "the fault did not happen"
    assert state == expected


def test_two_operators_without_a_lease_make_each_job_once(kube, ns, operators, kubelet, audit):
    kubelet.work()
    begin = audit.position()
    for n in range(2):
        operators(ns, name="rival-%d" % n).start()
    many(kube, ns, audit, begin)


def test_killed_every_second_under_thirty_tasks(kube, ns, operators, kubelet, audit):
    kubelet.work()
    begin = audit.position()
    operator = operators(ns).start()
    stopping = threading.Event()

    def strike():
        while not stopping.wait(1):
            operator.kill()
            operator.start(wait=False)
            while not operator.ready() and not stopping.is_set():
                time.sleep(0.05)

    striker = threading.Thread(target=strike, daemon=True)
    striker.start()
    try:
        many(kube, ns, audit, begin)
    finally:
        stopping.set()
        striker.join()
    eventually(operator.ready)
    quiet_minute(audit, ns)


def many(kube, ns, audit, begin, count=30):
    for n in range(count):
        kube.create(ns, task("DjangoMigrate", "m%d" % n))
    wait = lambda runs: eventually(  # noqa: E731
        lambda: all(
            reason(t) == "Succeeded" and t["status"]["lastRun"]["number"] == runs
            for t in kube.list("DjangoMigrate", ns)
        ),
        "%d tasks done, run %d" % (count, runs),
        timeout=180,
    )
    wait(1)
    for n in range(count):
        kube.patch("DjangoMigrate", ns, "m%d" % n, {"spec": {"trigger": "2"}})
    wait(2)
    made = jobs_made(audit.entries(account(ns), begin))
    # A creation whose client was killed may be done, and yet not be written down as done.
    names = {job["metadata"]["name"] for job in kube.list("Job", ns)}
    assert len(names) == 2 * count and set(made) <= names and set(made.values()) == {1}


def quiet_minute(audit, ns):
    """A minute without writes: the window is the promise itself."""
    settle(audit, account(ns))
    begin = audit.position()
    time.sleep(60)
    assert writes(audit.entries(account(ns), begin)) == []
