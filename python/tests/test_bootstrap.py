"""How a Job starts the helper: the bytes that were checked run, and nothing else."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

CODE = (Path(__file__).parents[1] / "bootstrap.py").read_text()


@pytest.fixture
def boot(tmp_path):
    """Runs a file as a Job's container does; the process, and what it left in the termination log."""

    def run(path, digest, *arguments, **environment):
        log = tmp_path / "termination-log"
        log.touch()  # as the kubelet does
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(path), digest, *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "DJK8S_TERMINATION_LOG": str(log), **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done, json.loads(log.read_text() or "null")

    return run


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_helper_runs_with_its_arguments(boot, pyz, tmp_path):
    (tmp_path / "manage.py").write_text("import sys; print(sys.argv)")
    done, _ = boot(pyz, digest(pyz), "--script", "manage.py", "--", "check", "$(SECRET)")
    assert done.stdout.strip() == "['manage.py', 'check', '$(SECRET)']", done.stderr


def test_other_bytes_do_not_run(boot, pyz, tmp_path):
    other = tmp_path / "tasks.pyz"
    other.write_bytes(pyz.read_bytes() + b"x")
    done, line = boot(other, digest(pyz), "--script", "manage.py", "--", "check")
    assert done.returncode == 1 and line["ok"] is False and line["reason"] == "HelperTampered"
    assert str(other) in line["message"] and "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_told_as_such(boot, pyz, tmp_path):
    done, line = boot(tmp_path / "tasks.pyz", digest(pyz), "--script", "manage.py", "--", "check")
    assert done.returncode == 1 and line["reason"] == "HelperTampered" and "No such file" in line["message"]


@pytest.mark.parametrize("lacking", ["os.memfd_create", "os.memfd_create and the C library's"])
def test_a_python_without_memory_files_of_its_own_runs_it_too(pyz, tmp_path, lacking):
    """As those that are built for an old C library."""
    (tmp_path / "manage.py").write_text("print('ran')")
    without = "import os; del os.memfd_create\n"
    if "C library" in lacking:
        without += "import ctypes; ctypes.CDLL = lambda name: object()\n"
    command = [sys.executable, "-c", without + CODE, str(pyz), digest(pyz), "--script", "manage.py", "--", "check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "ran", done.stderr


def test_the_file_is_read_once(boot, pyz, tmp_path):
    """A pipe gives its content once: whoever opened it again would wait for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "manage.py").write_text("print('ran')")
    threading.Thread(target=pipe.write_bytes, args=(pyz.read_bytes(),), daemon=True).start()
    done, _ = boot(pipe, digest(pyz), "--script", "manage.py", "--", "check")
    assert done.stdout.strip() == "ran", done.stderr


def test_a_file_of_the_working_directory_does_not_stand_in_for_pythons_own(boot, pyz, tmp_path):
    (tmp_path / "zipimport.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "argparse.py").write_text("raise SystemExit('shadowed')")
    done, _ = boot(pyz, digest(pyz), "--help")
    assert done.returncode == 0 and "--script" in done.stdout, done.stderr


def test_another_interpreter_of_a_console_script_gets_the_checked_bytes(boot, pyz, tmp_path):
    """From a pipe, which nobody can read a second time."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    twin = tmp_path / "python-twin"
    twin.symlink_to(sys.executable)
    script = tmp_path / "shop"
    script.write_text("#!%s\nimport sys\nprint(sys.executable, sys.argv[1:])\n" % twin)
    script.chmod(0o755)
    (tmp_path / "django" / "core" / "management").mkdir(parents=True)
    for package in ("django", "django/core"):
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "django/core/management/__init__.py").write_text("get_commands = dict")
    (tmp_path / "django/core/management/base.py").write_text("class BaseCommand:\n    def execute(self): pass\n")
    threading.Thread(target=pipe.write_bytes, args=(pyz.read_bytes(),), daemon=True).start()
    done, _ = boot(pipe, digest(pyz), "--console", "shop", "--", "check", PATH="%s:%s" % (tmp_path, os.environ["PATH"]))
    assert "python-twin ['check']" in done.stdout, done.stderr


def test_an_errors_place_is_the_projects_own(boot, pyz, tmp_path):
    (tmp_path / "manage.py").write_text("def broken():\n    raise ValueError('no')\nbroken()\n")
    done, line = boot(pyz, digest(pyz), "--script", "manage.py", "--", "check")
    assert done.returncode == 1 and line["message"] == "ValueError: no (manage.py:2 in broken)"


CLOSES = """
import os, sys
sys.path.insert(0, %r)
helper = next(int(each.rpartition("/")[2]) for each in sys.path if each.startswith("/proc/self/fd/"))
kept = []
def close_the_helper(**kwargs):
    if "helper" in globals():
        os.close(globals().pop("helper"))
        kept.extend(open("reused", "w+") for _ in range(REUSED))
""" % str(Path(__file__).parents[2] / "tests/project")
FAILS = "close_the_helper()\nraise ValueError('no')\n"
MIGRATES = (
    "from django.db.models.signals import post_migrate\npost_migrate.connect(close_the_helper)\n"
    "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
)


@pytest.mark.parametrize("reused", [0, 9], ids=["its number is free", "its number is another's"])
def test_an_end_is_told_though_the_project_has_closed_the_helper(boot, pyz, tmp_path, reused):
    """What makes words of exceptions, and what takes secrets out of them, is loaded late, from a file by its number."""
    environment = {"DATABASE_FILE": str(tmp_path / "db.sqlite3"), "DJANGO_SETTINGS_MODULE": "myapp.settings"}

    def run(manage, *command):
        (tmp_path / "manage.py").write_text(CLOSES.replace("REUSED", str(reused)) + manage)
        return boot(pyz, digest(pyz), "--script", "manage.py", "--", *command, **environment)

    done, line = run(FAILS, "check")
    assert (done.returncode, line["ok"], line["reason"]) == (1, False, "CommandFailed"), done.stderr
    assert "ValueError: no" in done.stderr and "ValueError" not in line["message"]
    done, line = run(MIGRATES, "lockedmigrate")
    assert (done.returncode, line["ok"], line["action"]) == (0, True, "applied"), done.stderr
    assert line["databases"] == [{"alias": "default", "engine": "sqlite3", "host": "", "name": ""}]
