"""Whether Celery's worker and beat are alive: real processes, a real broker that comes and goes."""

import json
import signal

import pytest
from conftest import eventually, finish

MODULE = "django_operator_tasks.heartbeat"


@pytest.fixture
def site(shop, own_redis, tmp_path):
    shop.env = {"BROKER_URL": "redis://127.0.0.1:%d/0" % own_redis.port, "DJK8S_HEARTBEAT_DIR": str(tmp_path)}
    return shop


def look(site, role, *argv):
    code, output = site.python("-m", MODULE, role, "--json", *argv)
    return {**json.loads(output), "code": code}


def celery(site, *argv):
    return site.start("-m", "celery", "-A", "shop", *argv)


def becomes(site, role, alive, *argv):
    return eventually(lambda: look(site, role, *argv)["alive"] is alive, "%s alive: %s" % (role, alive))


def stop_between_ticks(site, beat):
    """While it sends, beat asks for more patience."""
    beat.send_signal(signal.SIGSTOP)
    while look(site, "beat")["within"] == 600:
        beat.send_signal(signal.SIGCONT)
        eventually(lambda: look(site, "beat")["within"] < 600, "the tick's end")
        beat.send_signal(signal.SIGSTOP)


def test_a_worker_lives_hangs_and_loses_its_broker(site, own_redis):
    assert look(site, "worker") == {"alive": False, "message": look(site, "worker")["message"], "code": 1}
    assert "no heartbeat yet" in look(site, "worker")["message"]
    worker = celery(site, "worker", "--concurrency=1", "-l", "error", "--without-gossip", "--without-mingle")
    try:
        becomes(site, "worker", True)
        assert look(site, "worker")["within"] == 5
        worker.send_signal(signal.SIGSTOP)
        becomes(site, "worker", False, "--max-age=1")
        assert look(site, "worker", "--max-age=1")["code"] == 1
        worker.send_signal(signal.SIGCONT)
        becomes(site, "worker", True, "--max-age=1")
        # Without its broker it tries again by itself; a restart would not help.
        own_redis.stop()
        eventually(lambda: look(site, "worker")["within"] == 600, "a worker that tries again")
        assert look(site, "worker", "--max-age=0")["code"] == 0
        own_redis.start()
        eventually(lambda: look(site, "worker")["within"] == 5, "a worker that found its broker")
        worker.terminate()
        assert worker.wait(60) == 0
        assert "no heartbeat yet" in look(site, "worker")["message"], "who has ended is not alive"
    finally:
        worker.kill()
        worker.wait()


def test_beat_lives_and_hangs(site, tmp_path):
    beat = celery(site, "beat", "-l", "error", "--max-interval=1", "-s", str(tmp_path / "schedule"), "--pidfile=")
    try:
        becomes(site, "beat", True)
        eventually(lambda: look(site, "beat")["within"] <= 1, "a tick")
        stop_between_ticks(site, beat)
        becomes(site, "beat", False, "--max-age=0.5")
        beat.send_signal(signal.SIGCONT)
        becomes(site, "beat", True, "--max-age=0.5")
    finally:
        beat.kill()
        beat.wait()


def test_a_beat_that_ended_or_hangs_at_its_start_is_not_alive(site, tmp_path):
    argv = ["beat", "-l", "error", "--max-interval=300", "-s", str(tmp_path / "schedule"), "--pidfile="]
    beat = celery(site, *argv)
    becomes(site, "beat", True)
    beat.terminate()
    finish(beat)
    assert "no heartbeat yet" in look(site, "beat")["message"]
    beat = celery(site, *argv)
    becomes(site, "beat", True)
    beat.kill()
    finish(beat)
    assert look(site, "beat")["alive"], "what a killed one promised stands"
    site.add_application(
        "hanging",
        scheduler="import time\nfrom celery.beat import PersistentScheduler\n"
        "class Hanging(PersistentScheduler):\n    def setup_schedule(self): time.sleep(3600)\n",
    )
    beat = celery(site, *argv, "-S", "hanging.scheduler.Hanging")
    try:
        becomes(site, "beat", False)
    finally:
        beat.kill()
        finish(beat)


def test_beat_that_waits_for_its_broker_is_alive(site, own_redis, tmp_path):
    site.settings["CELERY_BEAT_SCHEDULE"] = {"often": {"task": "nothing", "schedule": 0.5}}
    own_redis.stop()  # one that was never there is waited for within a tick
    beat = celery(site, "beat", "-l", "error", "--max-interval=1", "-s", str(tmp_path / "schedule"), "--pidfile=")
    try:
        eventually(lambda: look(site, "beat").get("within") == 600, "a tick that waits")
        assert look(site, "beat", "--max-age=0")["alive"]
        own_redis.start()
        eventually(lambda: look(site, "beat")["within"] <= 1, "a tick that sent")
    finally:
        beat.kill()
        beat.wait()


def test_the_probe_starts_neither_django_nor_celery(site):
    code = (
        "import runpy, sys\ntry: runpy.run_module(%r, run_name='__main__', alter_sys=True)\nexcept SystemExit: pass\n"
        % MODULE
    )
    code = (
        "import sys; sys.argv = ['x', 'worker']\n"
        + code
        + "print(sorted({'django', 'celery', 'kombu', 'socket'} & set(sys.modules)))"
    )
    assert site.python("-c", code)[1].splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"at": "x", "within": 5}', '{"at": 1e18, "within": 5}', '{"at": 0, "within": 5}']
)
def test_a_file_that_says_nothing_is_no_heartbeat(site, tmp_path, text):
    (tmp_path / "django-operator-tasks-beat.json").write_text(text)
    assert look(site, "beat", "--max-age=0")["code"] == 1


def test_a_directory_that_cannot_be_written_stops_nobody(site):
    code = "import os; os.environ['DJK8S_HEARTBEAT_DIR'] = '/proc/nothing'\nfrom django_operator_tasks.celery_heartbeat import write\nwrite('worker', 5)"
    assert "DJK8S_HEARTBEAT_DIR" in site.script(code)
    assert site.python("-m", MODULE, "nobody")[0] == 2


def test_without_a_directory_there_is_no_heartbeat_and_no_crash(site):
    site.env = {}
    code = "import tempfile, sys\ntempfile._candidate_tempdir_list = lambda: ['/nonexistent']\n"
    code += "from django_operator_tasks import heartbeat\nsys.exit(heartbeat.main(['worker']))"
    ended, output = site.python("-c", code)
    assert ended == 1 and "no heartbeat yet" in output and "Traceback" not in output
