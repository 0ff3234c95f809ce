"""How a run starts in an image: which interpreter is tried after which, and what the target's owner mends."""

import pytest
from support.kube import account, condition, eventually, jobs_made, message, reason, settle, task

STARTS = {
    "DjangoMigrate": {},
    "DjangoCelery": {"app": "shop"},  # a purge, which must not run twice: nothing ran
}
NO_INTERPRETER = 'exec: "python3": executable file not found in $PATH'


def newest_pod(kubelet, number):
    """The pod of a run, once it is there."""
    def look():
        pods = sorted(kubelet.pods(), key=lambda pod: pod["metadata"]["creationTimestamp"])
        new = [pod for pod in pods if pod["status"].get("phase") == "Pending"]
        return len(pods) == number and new and new[0]

    return eventually(look, "the pod of run %d" % number)


def interpreter(pod):
    return pod["spec"]["containers"][0]["command"][0]


def fail_to_start(kubelet, pod):
    kubelet.end(pod, 128, NO_INTERPRETER, "StartError")


def fail(kubelet, pod, why, text="m"):
    kubelet.end(pod, 1, {"ok": False, "reason": why, "message": text})


@pytest.mark.parametrize("kind", STARTS)
def test_the_next_interpreter_is_a_new_run_by_itself_and_what_worked_is_kept(kube, ns, operator, kubelet, audit, kind):
    begin = audit.position()
    kube.create(ns, task(kind, "t", **STARTS[kind]))
    finished = []

    def watched(number):
        pod = newest_pod(kubelet, number)
        finished.append(condition(kube.get(kind, ns, "t"), "Finished").get("status"))
        return pod

    first = watched(1)
    assert interpreter(first) == "python3"
    fail_to_start(kubelet, first)
    second = watched(2)
    assert interpreter(second) == "python"
    kubelet.end(second)
    done = eventually(lambda: (t := kube.get(kind, ns, "t")) and reason(t) == "Succeeded" and t)
    run, (past,) = done["status"]["lastRun"], done["status"]["history"]
    assert (run["number"], run["cause"], run["interpreter"]) == (2, "Interpreter", "python")
    assert past["reason"] == "InterpreterNotFound" and "python3" in past["message"]
    assert set(finished) == {"False"}, "nothing is over before the last"
    kube.patch(kind, ns, "t", {"spec": {"trigger": "2"}})
    third = newest_pod(kubelet, 3)
    assert interpreter(third) == "python", "what worked is kept"
    kubelet.end(third)
    eventually(lambda: kube.get(kind, ns, "t")["status"]["lastRun"].get("result") == "Succeeded")
    settle(audit, account(ns))
    assert set(jobs_made(audit.entries(account(ns), begin)).values()) == {1}


def test_after_the_last_interpreter_it_is_over_until_the_target_says_more(kube, ns, operator, kubelet):
    kube.create(ns, task("DjangoMigrate", "t"))
    for number in (1, 2):
        fail_to_start(kubelet, newest_pod(kubelet, number))
    failed = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "t")) and condition(t, "Finished").get("status") == "True" and t)
    assert reason(failed) == "InterpreterNotFound" and "django.my.domain/manage" in message(failed)
    kube.patch("Deployment", ns, "web", {"metadata": {"annotations": {"django.my.domain/manage": "/venv/bin/python manage.py"}}})
    third = newest_pod(kubelet, 3)
    assert interpreter(third) == "/venv/bin/python"
    kubelet.end(third)
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "t")) and reason(t) == "Succeeded" and t)
    assert done["status"]["lastRun"]["cause"] == "Target"


def test_what_the_target_s_owner_can_mend_runs_again_when_they_do(kube, ns, operator, kubelet, audit):
    """Once for each change, and for nothing but that."""
    annotate = lambda **values: kube.patch("Deployment", ns, "web", {"metadata": {"annotations": {  # noqa: E731
        "django.my.domain/" + name: value for name, value in values.items()}}})
    begin = audit.position()
    kube.create(ns, task("DjangoMigrate", "t"))
    for number, why in ((1, "ManageNotFound"), (2, "ManageAmbiguous"), (3, "InterpreterWithoutDjango")):
        fail(kubelet, newest_pod(kubelet, number), why)
        failed = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "t")) and reason(t) == why and t)
        assert condition(failed, "Finished")["status"] == "True"
        kube.patch("Deployment", ns, "web", {"metadata": {"annotations": {"somebody/elses": why}}})
        annotate(manage="python %d.py" % number)
    fail(kubelet, newest_pod(kubelet, 4), "CommandFailed")
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "t")) == "CommandFailed")
    annotate(manage="python other.py")
    settle(audit, account(ns))
    assert sum(jobs_made(audit.entries(account(ns), begin)).values()) == 4, "a command that failed stays failed"


def test_a_purge_runs_again_for_no_annotation(kube, ns, operator, kubelet, audit):
    begin = audit.position()
    kube.create(ns, task("DjangoCelery", "t", app="shop"))
    fail(kubelet, newest_pod(kubelet, 1), "InterpreterWithoutDjango")
    eventually(lambda: reason(kube.get("DjangoCelery", ns, "t")) == "InterpreterWithoutDjango")
    kube.patch("Deployment", ns, "worker", {"metadata": {"annotations": {"django.my.domain/manage": "python x.py"}}})
    settle(audit, account(ns), 2)
    assert sum(jobs_made(audit.entries(account(ns), begin)).values()) == 1


def test_a_user_that_waits_says_which_migrations_are_under_way(kube, ns, operator, kubelet):
    spec = {"username": "ann", "passwordSecretRef": {"name": "s", "key": "k"}}
    kube.create(ns, task("DjangoUser", "u", **spec))
    user = newest_pod(kubelet, 1)
    kubelet.run(user)
    kube.create(ns, task("DjangoMigrate", "m"))
    migrate = newest_pod(kubelet, 2)
    kubelet.run(migrate)
    eventually(lambda: "DjangoMigrate m is under way on the same target" in message(kube.get("DjangoUser", ns, "u")))
    kubelet.end(migrate)
    eventually(lambda: message(kube.get("DjangoUser", ns, "u")) == "the command runs")
    kubelet.end(user)
    eventually(lambda: reason(kube.get("DjangoUser", ns, "u")) == "Succeeded")
