"""The day on which another operator of this group gives way to this one: what it finished is done."""

import time

import pytest
from support.kube import KINDS, account, completed_at, condition, eventually, jobs_made, reason, sample, settle, task
from support.proxy import Proxy

DONE = "2026-03-01T08:30:00Z"


@pytest.mark.parametrize("kind", KINDS)
def test_what_another_operator_finished_is_done_until_the_next_change(kube, ns, operators, kubelet, audit, kind):
    """That operator leaves a timestamp in the status, and nothing else."""
    kubelet.work()
    stamp = completed_at(kind)
    kube.create(ns, task(kind, "old", **sample(kind)))
    left = kube.call("PUT", kube.path(kind, ns, "old") + "/status", {**kube.get(kind, ns, "old"), "status": {stamp: DONE}})
    assert left["status"] == {stamp: DONE}
    begin = audit.position()
    operator = operators(ns).start()
    found = eventually(lambda: (t := kube.get(kind, ns, "old")) and reason(t) == "TakenOver" and t)
    assert condition(found, "Ready")["status"] == condition(found, "Finished")["status"] == "True"
    assert found["status"][stamp] == DONE and found["status"]["observedGeneration"] == 1
    run = found["status"]["lastRun"]
    assert (run["number"], run["result"], run["finishedAt"]) == (0, "Succeeded", DONE) and run["key"]
    assert DONE in condition(found, "Ready")["message"]
    # Over a restart, and by what only steers.
    operator.kill()
    operator.start()
    kube.patch(kind, ns, "old", {"spec": {"historyLimit": 1, "suspend": True}})
    eventually(lambda: kube.get(kind, ns, "old")["status"]["observedGeneration"] == 2)
    kube.patch(kind, ns, "old", {"spec": {"suspend": False}})
    eventually(lambda: kube.get(kind, ns, "old")["status"]["observedGeneration"] == 3)
    settle(audit, account(ns))
    assert jobs_made(audit.entries(account(ns), begin)) == {} and reason(kube.get(kind, ns, "old")) == "TakenOver"
    kube.patch(kind, ns, "old", {"spec": {"trigger": "2"}})
    done = eventually(lambda: (t := kube.get(kind, ns, "old")) and reason(t) == "Succeeded" and t)
    assert done["status"]["lastRun"]["number"] == 1 and done["status"]["lastRun"]["cause"] == "Spec"
    assert done["status"]["history"][0]["reason"] == "TakenOver" and done["status"][stamp] > DONE


def test_a_request_runs_what_another_operator_finished(kube, ns, operators, kubelet):
    kubelet.work()
    kube.create(ns, task("DjangoMigrate", "old"))
    kube.patch("DjangoMigrate", ns, "old", {"status": {"applied": DONE}}, "/status")
    operators(ns).start()
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "old")) == "TakenOver")
    told = eventually(lambda: [e for e in kube.list("Event", ns) if e["regarding"].get("name") == "old"])
    assert [e["reason"] for e in told] == ["TakenOver"]
    kube.patch("DjangoMigrate", ns, "old", {"metadata": {"annotations": {"django.my.domain/requestedAt": "now"}}})
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "old")) and reason(t) == "Succeeded" and t)
    assert done["status"]["lastRun"]["cause"] == "Request"


def test_a_request_from_before_runs_and_nobody_is_told_that_all_is_done(kube, ns, operators, kubelet):
    kube.create(ns, task("DjangoMigrate", "old"))
    kube.patch("DjangoMigrate", ns, "old", {"metadata": {"annotations": {"django.my.domain/requestedAt": "now"}}})
    kube.patch("DjangoMigrate", ns, "old", {"status": {"applied": DONE}}, "/status")
    seen = []

    def plan(call):
        # What stands in the status when the run is about to be recorded.
        if call.name == "PUT djangomigrates/status" and call.nth == 2 and not seen:
            seen.append(kube.get("DjangoMigrate", ns, "old"))

    proxy = Proxy(kube.server, plan)
    operators(ns, server=proxy.url).start()
    kubelet.work()
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "old")) == "Succeeded")
    (taken,) = seen
    assert taken["status"]["lastRun"]["reason"] == "TakenOver"
    assert condition(taken, "Finished")["status"] == condition(taken, "Ready")["status"] == "False"
    proxy.close()


def test_what_another_operator_had_not_finished_runs(kube, ns, operators, kubelet):
    kubelet.work()
    kube.create(ns, task("DjangoMigrate", "pending"))
    operators(ns).start()
    time.sleep(0.1)
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "pending")) and reason(t) == "Succeeded" and t)
    assert done["status"]["lastRun"]["number"] == 1 and done["status"]["lastRun"]["cause"] == "First"
