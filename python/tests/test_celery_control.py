"""Celery's administration, with a real broker and real workers: one idle, one busy."""

import json
import os
import subprocess
import sys

import pytest
from conftest import COMPILED, Process, eventually
from servers import free_port

APP = """
import os, time
from celery import Celery
app = Celery("jobs", broker=os.environ["BROKER_URL"])
app.conf.worker_prefetch_multiplier = 1

@app.task(name="hold")
def hold():
    open(os.environ["REACHED"], "w").close()
    while os.path.exists(os.environ["HOLD"]):
        time.sleep(0.05)
"""


@pytest.fixture
def jobs(pyz, redis, tmp_path):
    """An application without Django; runs the helper on it: exit status, line, output."""
    (tmp_path / "jobs.py").write_text(APP)
    log = tmp_path / "log"
    env = {
        "PATH": os.environ["PATH"],
        **COMPILED,
        "BROKER_URL": "redis://127.0.0.1:%d/%d" % (redis.port, 3),
        "HOLD": str(tmp_path / "hold"),
        "REACHED": str(tmp_path / "reached"),
        "DJK8S_TERMINATION_LOG": str(log),
    }

    class Jobs:
        home, environment = tmp_path, env

        def __call__(self, *argv, stdout=subprocess.PIPE):
            log.write_text("")
            done = subprocess.run(
                [sys.executable, str(pyz), "--discover", "--celery", "--", "-A", "jobs", *argv],
                cwd=tmp_path,
                env=env,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                timeout=300,
            )
            return done.returncode, json.loads(log.read_text()), (done.stdout or "") + done.stderr

        def worker(self, name):
            argv = [
                "-m",
                "celery",
                "-A",
                "jobs",
                "worker",
                "-P",
                "solo",
                "-n",
                name,
                "--without-gossip",
                "--without-mingle",
            ]
            worker = Process(
                [sys.executable, *argv], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            eventually(lambda: name in self.python("print(list(app.control.ping()))"), name)
            return worker

        def python(self, code):
            return subprocess.run(
                [sys.executable, "-c", "from jobs import *\n" + code],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                check=True,
            ).stdout

    yield Jobs()
    (tmp_path / "hold").unlink(missing_ok=True)


def test_a_busy_worker_that_does_not_reply_is_named(jobs):
    """It runs one task at a time, and hears of nothing until it is done."""
    (jobs.home / "hold").touch()
    with jobs.worker("busy@here"):
        task = jobs.python("print(hold.delay().id)").strip()
        eventually((jobs.home / "reached").exists, "the task at its work")
        code, line, _ = jobs("control", "revoke", task)
        assert (code, line["reason"]) == (1, "NoWorkerReplied") and "busy@here" in line["message"]
        with jobs.worker("idle@here"):
            code, line, output = jobs("control", "terminate", "SIGTERM", task)
    assert (code, line["action"]) == (0, "revoked"), "the one that replied does not run it"
    assert line["names"] == ["idle@here", "busy@here (no reply: busy, or gone)"] and line["count"] == 1, output


@pytest.mark.parametrize("stdout", ["/dev/full"])
def test_what_was_purged_stays_purged_when_nobody_can_be_told(jobs, stdout):
    jobs.python("hold.delay()\nhold.delay()")
    with open(stdout, "w") as full:
        code, line, output = jobs("purge", "-f", stdout=full)
    assert (code, line["ok"], line["action"], line["count"]) == (0, True, "purged", 2), output


def test_a_queue_that_nobody_knows(jobs):
    code, line, _ = jobs("purge", "-f", "-Q", "nosuch")
    assert (code, line["reason"]) == (1, "UnknownQueue")


def test_an_application_that_is_not_there(jobs):
    (jobs.home / "jobs.py").unlink()
    code, line, _ = jobs("purge", "-f")
    assert (code, line["reason"]) == (1, "CommandFailed") and "jobs" in line["message"]


def test_a_broker_that_is_away_ends_it(jobs):
    jobs.environment["BROKER_URL"] = "redis://127.0.0.1:%d/0" % free_port()
    for argv in (["control", "revoke", "some"], ["purge", "-f"]):
        code, line, _ = jobs(*argv)
        assert (code, line["ok"]) == (1, False) and "refused" in line["message"], line
