"""Several commands in one run: what is told of each, and where another run begins. The test plays the kubelet, and what
the helper reports."""

import pytest
from support.kube import becomes, eventually, task

COMMANDS = [["check"], ["loaddata", "prices"], ["clearsessions"]]


def step(name, state, code=None, **more):
    return {"name": name, "state": state, **({} if code is None else {"exitCode": code, "seconds": 2}), **more}


DONE = {"ok": True, "action": "executed", "count": 3, "names": [], "settings": "shop.settings", "databases": []}
DONE["steps"] = [step(command[0], "Succeeded", 0) for command in COMMANDS]
FAILED = {
    **DONE, "ok": False, "reason": "CommandFailed", "message": "step 2 of 3, loaddata: no fixture named 'prices' found", "count": 1,
    "steps": [step("check", "Succeeded", 0), step("loaddata", "Failed", 1, reason="CommandFailed"), step("clearsessions", "NotRun")],
}


@pytest.fixture
def run(kube, ns, operator, kubelet):
    """Plays one run, asked for in some way, to its end; its Job and the task then."""

    def play(number, line, wanted, ask=lambda: None):
        ask()

        pod = kubelet.pod_of_run("DjangoCommand", "c", number)
        kubelet.run(pod)
        kubelet.end(pod, 0 if line["ok"] else 1, line)
        found = becomes(kube, ns, "c", wanted, "DjangoCommand")
        assert found["status"]["lastRun"]["number"] == number
        return kube.get("Job", ns, found["status"]["lastRun"]["jobName"]), found

    return play


def first(job):
    """The step that the Job begins at."""
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    return next((arg for arg in args if arg.startswith("--first=")), "")


def test_what_is_told_of_each_and_where_another_run_begins(kube, ns, run):
    def edit(**spec):
        return lambda: kube.patch("DjangoCommand", ns, "c", {"spec": spec})

    def request(value):
        return lambda: kube.patch("DjangoCommand", ns, "c", {"metadata": {"annotations": {"django.my.domain/requestedAt": value}}})

    kube.create(ns, task("DjangoCommand", "c", commands=COMMANDS, retries=2))
    job, found = run(1, FAILED, "CommandFailed")
    assert job["spec"]["backoffLimit"] == 0 and "--retries=2" in job["spec"]["template"]["spec"]["containers"][0]["args"]
    last = found["status"]["lastRun"]
    assert last["message"] == FAILED["message"] and last["exitCode"] == 1
    assert last["steps"] == [
        {"name": "check", "state": "Succeeded", "exitCode": 0, "durationSeconds": 2},
        {"name": "loaddata", "state": "Failed", "exitCode": 1, "durationSeconds": 2, "reason": "CommandFailed", "message": FAILED["message"]},
        {"name": "clearsessions", "state": "NotRun"},
    ]
    job, found = run(2, FAILED, "CommandFailed", request("again"))
    assert first(job) == "", "nobody asked to resume"
    edit(resume=True)()
    job, found = run(3, FAILED, "CommandFailed", request("and again"))
    assert first(job) == "--first=2" and found["status"]["lastRun"]["firstStep"] == 2
    job, found = run(4, FAILED, "CommandFailed", edit(trigger="fixed"))
    assert first(job) == "" and "firstStep" not in found["status"]["lastRun"], "another key"
    job, found = run(5, DONE, "Succeeded", request("the last"))
    assert first(job) == "--first=2"
    assert [each["state"] for each in found["status"]["lastRun"]["steps"]] == ["Succeeded"] * 3
    assert found["status"]["executed"] and found["status"]["report"]["action"] == "executed"
    job, _ = run(6, DONE, "Succeeded", request("once more"))
    assert first(job) == "", "there is nothing to resume after a success"


def test_another_image_begins_at_the_first(kube, ns, run):
    kube.create(ns, task("DjangoCommand", "c", commands=COMMANDS, resume=True, runPolicy="OnImageChange"))
    run(1, FAILED, "CommandFailed")
    container = {"name": "django", "image": "localhost/myapp:2"}
    change = {"spec": {"template": {"spec": {"containers": [container]}}}}
    job, _ = run(2, DONE, "Succeeded", lambda: kube.patch("Deployment", ns, "web", change))
    assert first(job) == ""


def test_a_lost_pod_ends_the_run(kube, ns, operator, kubelet):
    kube.create(ns, task("DjangoCommand", "c", commands=COMMANDS, retries=3))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    becomes(kube, ns, "c", "Running", "DjangoCommand")
    kubelet.end(pod, 137, "", reason="Error")
    found = becomes(kube, ns, "c", "CommandFailed", "DjangoCommand")
    assert "steps" not in found["status"]["lastRun"] and found["status"]["lastRun"]["exitCode"] == 137
    assert len(kube.list("Pod", ns)) == 1
