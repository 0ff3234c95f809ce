"""A run starts its command once, whatever becomes of its Job, its owner and its spec meanwhile."""

import os
import signal
import time

import pytest
from support.kube import account, becomes, condition, eventually, job_name, jobs_made, reason, settle, task, writes
from support.kubelet import OK
from support.proxy import Gate, Proxy

PURGE = {"app": "myapp"}


def test_a_purge_begins_only_when_its_uid_is_stored(kube, ns, operator, kubelet, audit):
    begin = audit.position()
    kube.create(ns, task("DjangoCelery", "c", **PURGE))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    becomes(kube, ns, "c", "Running", "DjangoCelery")
    kubelet.end(pod, line={**OK, "action": "purged"})
    becomes(kube, ns, "c", "Succeeded", "DjangoCelery")
    settle(audit, account(ns))
    own = writes(audit.entries(account(ns), begin))
    order = [(e["verb"], e["objectRef"]["resource"]) for e in own if e["objectRef"]["resource"] != "configmaps"]
    assert order[:4] == [("update", "djangoceleries"), ("create", "jobs"), ("update", "djangoceleries"), ("patch", "jobs")], order
    assert len(order) <= 6, order
    (release,) = [e for e in own if e["verb"] == "patch" and e["objectRef"]["resource"] == "jobs"]
    uid = kube.list("Job", ns)[0]["metadata"]["uid"]
    assert release["requestObject"] == [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "remove", "path": "/metadata/annotations/django.my.domain~1held"},
        {"op": "replace", "path": "/spec/suspend", "value": False},
    ]


def test_a_purge_that_somebody_suspends_is_not_begun_again(kube, ns, operator, kubelet):
    kube.create(ns, task("DjangoCelery", "c", **PURGE))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    job = becomes(kube, ns, "c", "Running", "DjangoCelery")["status"]["lastRun"]["jobName"]
    kube.patch("Job", ns, job, {"spec": {"suspend": True}})
    eventually(lambda: kubelet.pods(job) == [], "its pod is ended")
    becomes(kube, ns, "c", "JobSuspended", "DjangoCelery")
    time.sleep(2)  # a window in which it may not begin
    assert kube.get("Job", ns, job)["spec"]["suspend"] is True and kubelet.pods(job) == []


def test_a_purge_whose_job_vanished_before_its_uid_was_stored_has_not_begun(kube, ns, operators, kubelet, audit):
    """Its creator dies after the creation; somebody deletes the Job; the next operator starts the run anew."""
    first = None
    proxy = Proxy(kube.server, lambda call: "after" if call.name == "POST jobs" else None, lambda: first.kill())
    first = operators(ns, server=proxy.url).start()
    made = kube.create(ns, task("DjangoCelery", "c", **PURGE))
    job = eventually(lambda: kube.get("Job", ns, job_name(made, 1)))
    eventually(lambda: not first.alive())
    proxy.close()
    assert job["spec"]["suspend"] is True and kubelet.pods() == []
    kube.delete("Job", ns, job["metadata"]["name"])
    eventually(lambda: kube.get("Job", ns, job["metadata"]["name"]) is None)
    operators(ns).start()
    second = eventually(lambda: kube.get("Job", ns, job["metadata"]["name"]))
    assert second["metadata"]["uid"] != job["metadata"]["uid"]
    kubelet.work()
    done = becomes(kube, ns, "c", "Succeeded", "DjangoCelery")
    assert done["status"]["lastRun"]["number"] == 1
    assert done["status"]["lastRun"]["jobUid"] == second["metadata"]["uid"]


def test_a_job_that_this_process_made_and_that_vanished_is_lost(kube, ns, operators, kubelet, audit):
    """Before its UID was stored: the reply of the creation is all that vouches for it."""
    begin = audit.position()
    held = {}

    def plan(call):
        # Between the creation and whatever is written after it, the Job goes.
        if call.name == "PUT djangomigrates/status" and call.nth == 2 and "gone" not in held:
            held["gone"] = True
            for job in kube.list("Job", ns):
                kube.delete("Job", ns, job["metadata"]["name"])
            eventually(lambda: kube.list("Job", ns) == [])
            return "lose-request"
        return None

    proxy = Proxy(kube.server, plan)
    operators(ns, server=proxy.url).start()
    kube.create(ns, task("DjangoMigrate", "m"))
    lost = becomes(kube, ns, "m", "Lost")
    assert held and lost["status"]["lastRun"]["result"] == "Lost"
    settle(audit, account(ns))
    made = jobs_made(audit.entries(account(ns), begin))
    assert set(made.values()) == {1}, made
    proxy.close()


@pytest.mark.parametrize("kind, spec", [("DjangoMigrate", {}), ("DjangoCelery", PURGE), ("DjangoCommand", {"commands": [["check"]]})])
def test_an_operator_that_slept_between_intent_and_creation_starts_nothing_late(kube, ns, operators, kubelet, audit, kind, spec):
    """Meanwhile a rival carried the run out, and pruned its Job."""
    kubelet.work()
    gate = Gate()
    proxy = Proxy(kube.server, gate.plan)
    sleeper = operators(ns, server=proxy.url, name="sleeper").start()
    made = kube.create(ns, task(kind, "t", historyLimit=0, **spec))
    eventually(gate.held.is_set, "the first is about to create the Job")
    operators(ns, name="rival").start()
    becomes(kube, ns, "t", "Succeeded", kind)
    name = job_name(made, 1)
    eventually(lambda: kube.get("Job", ns, name) is None, "pruned")
    kubelet.stop()
    begin = audit.position()
    gate.open()
    eventually(lambda: jobs_made(audit.entries(account(ns), begin)), "the late Job")
    eventually(lambda: kube.get("Job", ns, name) is None, "the late Job is found and deleted")
    settle(audit, account(ns))
    assert sleeper.alive()
    found = kube.get(kind, ns, "t")
    assert reason(found) == "Succeeded" and found["status"]["lastRun"]["number"] == 1
    if kind != "DjangoMigrate":
        released = [e for e in audit.entries(account(ns), begin) if e["verb"] == "patch" and e["objectRef"].get("resource") == "jobs"]
        assert [e["responseStatus"]["code"] for e in released if e["responseStatus"]["code"] < 300] == [], "nothing began"
    proxy.close()


def test_a_running_job_without_its_owner_reference_stays_the_runs(kube, ns, operator, kubelet):
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    name = becomes(kube, ns, "m", "Running")["status"]["lastRun"]["jobName"]
    kube.patch("Job", ns, name, {"metadata": {"ownerReferences": None}})
    time.sleep(1)  # a window in which it may not become JobNameTaken
    assert reason(kube.get("DjangoMigrate", ns, "m")) == "Running"
    kubelet.end(pod)
    becomes(kube, ns, "m", "Succeeded")


def edited(kube, ns, kubelet):
    """A run that does not start, and gives way."""
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.wait(pod, "ErrImagePull", "no such image")
    return becomes(kube, ns, "m", "ImagePullFailed")["status"]["lastRun"], pod


def test_a_run_gives_way_only_when_its_pods_are_gone(kube, ns, operator, kubelet, audit):
    run, pod = edited(kube, ns, kubelet)
    # Something keeps the pod, as a kubelet that ends it slowly does.
    kube.patch("Pod", ns, pod["metadata"]["name"], {"metadata": {"finalizers": ["example.com/slow"]}})
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"app": "myapp"}})
    waiting = becomes(kube, ns, "m", "Superseding")
    assert condition(waiting, "Finished")["status"] == "False" and "result" not in waiting["status"]["lastRun"]
    eventually(lambda: kube.get("Job", ns, run["jobName"]) is None, "its Job deleted")
    kubelet.give_up(pod)
    time.sleep(2.5)  # longer than it takes to look again
    still = kube.get("DjangoMigrate", ns, "m")
    assert still["status"]["lastRun"]["number"] == 1 and kube.list("Job", ns) == [], "nothing starts beside its pod"
    # Suspended in the middle of it: the old one goes all the same, and nothing new starts.
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"suspend": True}})
    time.sleep(2.5)  # longer than it takes to look again
    assert reason(kube.get("DjangoMigrate", ns, "m")) == "Superseding" and len(kube.list("Job", ns)) == 0
    kube.patch("Pod", ns, pod["metadata"]["name"], {"metadata": {"finalizers": None}})
    held = becomes(kube, ns, "m", "Suspended")
    assert held["status"]["lastRun"]["result"] == "Superseded"
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"suspend": False}})
    kubelet.work()
    done = becomes(kube, ns, "m", "Succeeded")
    assert done["status"]["lastRun"]["number"] == 2 and done["status"]["lastRun"]["cause"] == "Spec"


def test_a_command_that_started_while_its_job_was_removed_has_failed(kube, ns, operator, kubelet):
    run, pod = edited(kube, ns, kubelet)
    kube.patch("Pod", ns, pod["metadata"]["name"], {"metadata": {"finalizers": ["example.com/slow"]}})
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"app": "myapp"}})
    eventually(lambda: kube.get("Job", ns, run["jobName"]) is None, "its Job deleted")
    kubelet.run(pod)
    eventually(lambda: kube.get("DjangoMigrate", ns, "m")["status"]["lastRun"].get("commandStartedAt"))
    kube.patch("Pod", ns, pod["metadata"]["name"], {"metadata": {"finalizers": None}})
    kubelet.work()
    done = becomes(kube, ns, "m", "Succeeded")
    assert done["status"]["history"][0]["result"] == "Failed" and done["status"]["history"][0]["reason"] == "Interrupted"


def test_a_command_that_started_before_the_removal_goes_on_to_its_end(kube, ns, operators, kubelet):
    """The operator dies between its record and the deletion; the image comes meanwhile."""
    operator = None
    proxy = Proxy(kube.server, lambda call: "before" if call.name == "DELETE jobs" else None, lambda: operator.kill())
    operator = operators(ns, server=proxy.url).start()
    run, pod = edited(kube, ns, kubelet)
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"app": "myapp"}})
    eventually(lambda: not operator.alive(), "it dies at the deletion")
    proxy.close()
    kubelet.run(pod)
    operators(ns).start()
    becomes(kube, ns, "m", "Running")
    kubelet.end(pod)
    kubelet.work()
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and reason(t) == "Succeeded" and t["status"]["lastRun"]["number"] == 2 and t)
    assert done["status"]["history"][0]["result"] == "Succeeded"


def test_a_job_that_somebody_deletes_is_lost_only_when_its_pods_have_ended(kube, ns, operator, kubelet):
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    name = becomes(kube, ns, "m", "Running")["status"]["lastRun"]["jobName"]
    kube.patch("Pod", ns, pod["metadata"]["name"], {"metadata": {"finalizers": ["example.com/slow"]}})
    kube.delete("Job", ns, name)
    ending = becomes(kube, ns, "m", "JobDeleted")
    assert condition(ending, "Finished")["status"] == "False"
    kube.patch("Pod", ns, pod["metadata"]["name"], {"metadata": {"finalizers": None}})
    becomes(kube, ns, "m", "Lost")


def test_a_job_that_somebody_suspended_says_so(kube, ns, operator, kubelet):
    kube.create(ns, task("DjangoMigrate", "m"))
    eventually(lambda: kubelet.pods())
    kube.patch("Job", ns, kube.list("Job", ns)[0]["metadata"]["name"], {"spec": {"suspend": True}})
    found = becomes(kube, ns, "m", "JobSuspended")
    assert condition(found, "Reconciling")["status"] == "True"
    kube.patch("Job", ns, kube.list("Job", ns)[0]["metadata"]["name"], {"spec": {"suspend": False}})
    kubelet.work()
    becomes(kube, ns, "m", "Succeeded")


def test_a_job_that_another_operator_made_first_counts_as_it_is(kube, ns, operators, kubelet):
    """Two operators record the same run, with the image of their time; the Job of the first is there first."""
    gate = Gate()

    def second_plan(call):
        if call.name == "POST jobs" and call.nth == 1:
            gate.open()
            eventually(lambda: kube.list("Job", ns), "the first one's Job")
        return None

    proxies = [Proxy(kube.server, gate.plan), Proxy(kube.server, second_plan)]
    operators(ns, server=proxies[0].url, name="first").start()
    kube.create(ns, task("DjangoMigrate", "m", runPolicy="OnImageChange"))
    eventually(gate.held.is_set, "the first is about to create the Job")
    old = kube.get("Deployment", ns, "web")["spec"]["template"]["spec"]["containers"][0]["image"]
    new = old + "-new"
    kube.patch("Deployment", ns, "web", {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": new}]}}}})
    operators(ns, server=proxies[1].url, name="second").start()
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    running = becomes(kube, ns, "m", "Running")
    assert pod["spec"]["containers"][0]["image"] == running["status"]["lastRun"]["image"] == old
    kubelet.work()
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and reason(t) == "Succeeded" and t["status"]["lastRun"]["number"] == 2 and t)
    assert (done["status"]["lastRun"]["image"], done["status"]["lastRun"]["cause"]) == (new, "Image")
    for proxy in proxies:
        proxy.close()


def test_a_command_that_ran_while_its_job_was_removed_is_not_said_not_to_have_started(kube, ns, operators, kubelet):
    """Its pod is gone when the operator looks; only the watch saw it run."""
    operator = None
    freeze = lambda: os.kill(operator.process.pid, signal.SIGSTOP)  # noqa: E731
    proxy = Proxy(kube.server, lambda call: "freeze" if call.name == "DELETE jobs" and call.nth == 1 else None, freeze=freeze)
    operator = operators(ns, server=proxy.url).start()
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.wait(pod, "ErrImagePull", "no such image")
    job = becomes(kube, ns, "m", "ImagePullFailed")["status"]["lastRun"]["jobName"]
    keep = lambda finalizers: kube.patch("Pod", ns, pod["metadata"]["name"], {"metadata": {"finalizers": finalizers}})  # noqa: E731
    keep(["example.com/slow"])
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"app": "myapp"}})
    eventually(lambda: proxy.struck, "frozen, with its Job deleted")
    try:
        eventually(lambda: kube.get("Job", ns, job) is None)
        kubelet.run(pod)
        kubelet.end(pod)
        keep(None)
        eventually(lambda: kubelet.pods() == [])
    finally:
        os.kill(operator.process.pid, signal.SIGCONT)
    kubelet.work()
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and reason(t) == "Succeeded" and t)
    (before,) = done["status"]["history"]
    assert (before["result"], before["reason"]) == ("Failed", "Interrupted")
    proxy.close()


def test_a_job_whose_owner_is_taken_away_before_its_uid_is_stored_is_this_runs(kube, ns, operators, kubelet, audit):
    begin = audit.position()
    taken = []

    def plan(call):
        # After the creation, before anything else is written.
        if call.name == "PUT djangomigrates/status" and call.nth == 2 and not taken:
            for job in kube.list("Job", ns):
                kube.patch("Job", ns, job["metadata"]["name"], {"metadata": {"ownerReferences": None}})
                taken.append(job["metadata"]["uid"])
            return "lose-request"
        return None

    proxy = Proxy(kube.server, plan)
    operators(ns, server=proxy.url).start()
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    eventually(lambda: taken, "the write of the UID", timeout=60)
    kubelet.run(pod)
    running = becomes(kube, ns, "m", "Running")
    assert [running["status"]["lastRun"]["jobUid"]] == taken
    kubelet.end(pod)
    becomes(kube, ns, "m", "Succeeded")
    settle(audit, account(ns))
    assert list(jobs_made(audit.entries(account(ns), begin)).values()) == [1]
    proxy.close()


def test_an_end_that_only_the_watch_saw_counts(kube, ns, operators, kubelet):
    """The Job expires at once; its end and its deletion come one right after the other."""
    operator = operators(ns).start()
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    job = becomes(kube, ns, "m", "Running")["status"]["lastRun"]["jobName"]
    kube.patch("Job", ns, job, {"spec": {"ttlSecondsAfterFinished": 0}})
    os.kill(operator.process.pid, signal.SIGSTOP)
    try:
        kubelet.end(pod)
        eventually(lambda: kube.get("Job", ns, job) is None, "it expired")
    finally:
        os.kill(operator.process.pid, signal.SIGCONT)
    assert becomes(kube, ns, "m", "Succeeded")["status"]["lastRun"]["number"] == 1
