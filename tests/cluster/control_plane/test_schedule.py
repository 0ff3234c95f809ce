"""Runs by the clock; the test plays the kubelet. Where hours are to have passed, the status says when the last run was due,
as it would after an operator was away for so long."""

from datetime import UTC, datetime, timedelta

import pytest
from support.kube import account, becomes, condition, eventually, jobs_made, jobs_released, message, reason, settle, task

KIND = "DjangoCommand"
LINE = {"ok": True, "action": "executed", "count": 1, "names": [], "settings": "", "databases": []}


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def now():
    return datetime.now(UTC)


@pytest.fixture
def job(kube, ns, kubelet):
    """Helpers for one DjangoCommand called `c`."""

    class Scheduled:
        def create(self, cron, **more):
            schedule = {"cron": cron, **more.pop("schedule", {})}
            return kube.create(ns, task(KIND, "c", commands=[["check"]], schedule=schedule, **more))

        def get(self):
            return kube.get(KIND, ns, "c")

        def edit(self, **spec):
            return kube.patch(KIND, ns, "c", {"spec": spec})

        def request(self, value):
            kube.patch(KIND, ns, "c", {"metadata": {"annotations": {"django.my.domain/requestedAt": value}}})

        def becomes(self, wanted):
            return becomes(kube, ns, "c", wanted, KIND, 150)

        def last_due(self, at):
            """Somebody was away since then."""
            kube.patch(KIND, ns, "c", {"status": {"schedule": {"lastDueTime": stamp(at)}}}, "/status")

        def number(self):
            return (self.get()["status"].get("lastRun") or {}).get("number", 0)

        def pod(self, number):
            pod = kubelet.pod_of_run(KIND, "c", number, 150)
            kubelet.run(pod)
            return pod

        def play(self, number):
            kubelet.end(self.pod(number), line=LINE)
            ended = lambda: (t := self.get()) and self.number() == number and t["status"]["lastRun"].get("result") and t  # noqa: E731
            return eventually(ended, "run %d is over" % number)

    return Scheduled()


def hourly(minutes_ago):
    """Every hour, the last time so many minutes ago."""
    return "%d * * * *" % (now() - timedelta(minutes=minutes_ago)).minute


def test_nothing_runs_before_its_time_unless_it_is_asked_for(kube, ns, operator, job, audit):
    job.create(hourly(30), trigger="1")
    found = job.becomes("Scheduled")
    due = found["status"]["schedule"]["nextDueTime"]
    assert condition(found, "Ready")["status"] == "True" and message(found) == "the first run is due at " + due
    assert timedelta(minutes=28) < datetime.fromisoformat(due) - now() < timedelta(minutes=31)
    job.edit(commands=[["check"], ["clearsessions"]], resume=True)
    settle(audit, account(ns))
    assert kube.list("Job", ns) == [] and reason(job.get()) == "Scheduled"
    job.edit(trigger="2")
    assert job.play(1)["status"]["lastRun"]["cause"] == "Spec"
    job.request("now")
    run = job.play(2)["status"]["lastRun"]
    assert run["cause"] == "Request" and "dueTime" not in run
    job.edit(commands=[["check"]])
    settle(audit, account(ns))
    assert job.number() == 2 and job.get()["status"]["schedule"]["nextDueTime"] == due
    shown = kube.kubectl("get", "-n", ns, "djcmd", "c").stdout
    assert "NEXT-DUE" in shown and due in shown


@pytest.mark.parametrize("deadline, runs", [(600, 1), (60, 0)])
def test_what_was_missed_while_nobody_was_there(kube, ns, operators, job, audit, deadline, runs):
    """Three due times, the last two minutes ago."""
    operator = operators(ns).start()
    job.create(hourly(2), schedule={"startingDeadlineSeconds": deadline})
    job.becomes("Scheduled")
    operator.stop()
    last = now() - timedelta(minutes=2)
    job.last_due(last - timedelta(hours=2, minutes=30))
    begin = audit.position()
    operators(ns).start()
    if runs:
        run = job.play(1)["status"]["lastRun"]
        assert run["cause"] == "Schedule"
        assert timedelta(0) <= last - datetime.fromisoformat(run["dueTime"]) < timedelta(minutes=1)
        job.becomes("Succeeded")
    schedule = eventually(lambda: (s := job.get()["status"]["schedule"])["missed"] and s)
    assert schedule["missed"] == 3 - runs
    settle(audit, account(ns))
    assert len(jobs_made(audit.entries(account(ns), begin))) == job.number() == runs
    assert timedelta(0) < datetime.fromisoformat(schedule["nextDueTime"]) - now() < timedelta(hours=1)


def test_never_two_at_once_and_what_came_due_meanwhile_is_one_run(kube, ns, operator, job, kubelet, audit):
    job.create(hourly(2))
    job.becomes("Scheduled")
    job.request("now")
    pod = job.pod(1)
    job.becomes("Running")
    job.last_due(now() - timedelta(hours=5))
    settle(audit, account(ns))
    assert len(kube.list("Job", ns)) == 1
    kubelet.end(pod, line=LINE)
    run = job.play(2)["status"]["lastRun"]
    assert run["cause"] == "Schedule"
    settle(audit, account(ns))
    assert job.number() == 2 and job.get()["status"]["schedule"]["missed"] == 4


def test_two_operators_start_one_job_for_each_due_time(kube, ns, operators, job, kubelet, audit):
    operators(ns, name="one").start()
    operators(ns, name="two").start()
    begin = audit.position()
    job.create("* * * * *")
    due = [job.play(number)["status"]["lastRun"]["dueTime"] for number in (1, 2)]
    assert datetime.fromisoformat(due[1]) - datetime.fromisoformat(due[0]) == timedelta(minutes=1)
    settle(audit, account(ns))
    entries = list(audit.entries(account(ns), begin))
    made = jobs_made(entries)
    assert len(made) == 2 and set(made.values()) == {1}, made
    assert set(jobs_released(entries).values()) == {1} and len(jobs_released(entries)) == 2
    assert job.get()["status"]["schedule"]["missed"] == 0


def test_while_it_is_suspended_nothing_is_due_and_afterwards_one_run_is(kube, ns, operator, job, audit):
    job.create(hourly(2), suspend=True)
    found = job.becomes("Scheduled")
    assert condition(found, "Suspended")["status"] == "True"
    job.last_due(now() - timedelta(hours=5))
    settle(audit, account(ns))
    assert kube.list("Job", ns) == [] and reason(job.get()) == "Scheduled"
    job.edit(suspend=False)
    assert job.play(1)["status"]["lastRun"]["cause"] == "Schedule"


def test_what_is_no_schedule_is_told_and_mended_by_an_edit(kube, ns, operator, job):
    job.create("0 0 30 2 *", schedule={"timeZone": "Europe/Berlin"})
    assert "schedule.cron: \"0 0 30 2 *\" is never due" in message(job.becomes("InvalidSpec"))
    job.edit(schedule={"cron": "@daily", "timeZone": "Europe/Atlantis"})
    eventually(lambda: 'schedule.timeZone: there is no time zone "Europe/Atlantis"' in message(job.get()))
    assert condition(job.get(), "Stalled")["status"] == "True"
    job.edit(schedule={"timeZone": "Europe/Berlin"})
    job.becomes("Scheduled")
    assert kube.list("Job", ns) == []


def test_jobs_stay_by_how_they_ended(kube, ns, operator, job, kubelet):
    job.create(hourly(30), schedule={"successfulHistoryLimit": 1, "failedHistoryLimit": 1})
    job.becomes("Scheduled")
    for number, code in enumerate((1, 1, 0, 0), 1):
        job.request(str(number))
        kubelet.end(job.pod(number), code, {**LINE, "ok": not code, "reason": "CommandFailed", "message": "no"})
    left = lambda: sorted(int(each["metadata"]["annotations"]["django.my.domain/run"]) for each in kube.list("Job", ns))  # noqa: E731
    eventually(lambda: left() == [2, 4], "the last of each")


def test_who_depends_on_it_waits_while_a_run_is_due(kube, ns, operator, job, kubelet):
    job.create(hourly(2))
    job.becomes("Scheduled")
    kube.create(ns, task("DjangoStatic", "s", dependsOn=[{"kind": KIND, "name": "c"}]))
    becomes(kube, ns, "s", "DependencyNotReady", "DjangoStatic")
    job.last_due(now() - timedelta(hours=1))
    job.play(1)
    becomes(kube, ns, "s", "Starting", "DjangoStatic")
