"""Several commands in one Job, each in a process of its own."""

import json
import os
import signal
import subprocess
import sys

import pytest
from layouts import MANAGE, SETTINGS

COMMAND = """
import os, sys
from django.core.management.base import BaseCommand, CommandError
class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("words", nargs="*")
    def handle(self, words, **options):
%s
"""
COMMANDS = {
    "says": "        print(os.getpid(), os.getppid(), *words)\n",
    "fails": "        print('failing', flush=True)\n        raise CommandError('it is no good')\n",
    "ends": "        sys.exit(3)\n",
    "dies": "        os.kill(os.getpid(), 9)\n",
    "waits": "        import time\n        print('waiting', flush=True)\n        time.sleep(600)\n",
    "second": "        with open('tries', 'a') as tries:\n            tries.write('x')\n"
    "        if os.path.getsize('tries') < 2:\n            raise CommandError('not yet')\n",
    "leaves": "        import subprocess\n        left = subprocess.Popen(['sleep', '600'], close_fds=False)\n"
    "        with open('left', 'w') as file:\n            file.write(str(left.pid))\n",
    "closes": "        os.closerange(3, 64)\n        self.kept = [open('kept%d' % n, 'w+') for n in range(8)]\n"
    "        [file.write('kept') and file.flush() for file in self.kept]\n",
    "exits": "        import atexit\n        atexit.register(print, 'at its end')\n",
}


@pytest.fixture
def steps(pyz, tmp_path):
    """Runs commands as a Job does; how it ended, what it reported and printed."""
    application = tmp_path / "shop/management/commands"
    application.mkdir(parents=True)
    for name, body in COMMANDS.items():
        (application / f"{name}.py").write_text(COMMAND % body)
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/settings.py").write_text(SETTINGS.replace("[]", "['shop']"))
    (tmp_path / "manage.py").write_text(MANAGE % "shop.settings")
    log = tmp_path / "termination-log"
    log.touch()

    def arguments(*commands, how=("--script", "manage.py")):
        lengths = ",".join(str(len(command)) for command in commands)
        words = [word for command in commands for word in command]
        return [sys.executable, str(pyz), *how, f"--lengths={lengths}", "--", *words]

    def run(*commands, retries=0, first=1, **more):
        argv = arguments(*commands, **more)
        argv[2:2] = [f"--retries={retries}", f"--first={first}"]
        env = {"PATH": os.environ["PATH"], "DJK8S_TERMINATION_LOG": str(log)}
        # Into a file: what a command leaves behind keeps a pipe open.
        with (tmp_path / "output").open("w+") as output:
            done = subprocess.run(argv, cwd=tmp_path, env=env, stdout=output, stderr=output, timeout=120)
            output.seek(0)
            return done.returncode, json.loads(log.read_text() or "{}"), output.read()

    run.arguments, run.path, run.log = arguments, tmp_path, log
    return run


def states(line):
    return [(step["name"], step["state"], step.get("exitCode")) for step in line["steps"]]


def test_each_runs_in_a_process_of_its_own_and_each_log_can_be_told(steps):
    code, line, output = steps(["says", "one", "$(two)"], ["says", "--", "-x"])
    assert code == 0, output
    assert line["ok"] and line["action"] == "executed" and line["count"] == 2
    assert states(line) == [("says", "Succeeded", 0)] * 2 and line["settings"] == "shop.settings"
    lines = [each for each in output.splitlines() if each]
    assert lines[0] == "--- step 1 of 2: says one '$(two)'" and lines[1].endswith(" one $(two)")
    assert lines[3] == "--- step 2 of 2: says -- -x" and lines[4].endswith(" -x")
    assert lines[2].startswith("--- step 1 of 2: says one '$(two)': exit code 0 after ")
    (one, parent), (other, same) = (lines[n].split()[:2] for n in (1, 4))
    assert one != other and parent == same


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("fails", 1, "step 2 of 3, fails: it is no good"),
        ("ends", 3, "step 2 of 3, ends: the command ended with exit code 3"),
        ("dies", 137, "step 2 of 3, dies: ended by signal 9"),
        ("nosuch", 1, "step 2 of 3, nosuch: the command ended with exit code 1, at KeyError: 'nosuch'"),
    ],
)
def test_the_first_that_fails_is_the_last(steps, name, code, message):
    ended, line, output = steps(["says", "one"], [name], ["says", "three"])
    assert ended == code, output
    assert not line["ok"] and line["reason"] == "CommandFailed" and line["message"].startswith(message), line
    assert states(line) == [("says", "Succeeded", 0), (name, "Failed", code), ("says", "NotRun", None)]
    assert line["count"] == 1 and "three" not in output


def test_a_step_is_tried_again_and_those_before_it_are_not(steps):
    code, line, output = steps(["says", "one"], ["second"], retries=1)
    assert code == 0, output
    assert line["ok"] and states(line)[1] == ("second", "Succeeded", 0)
    assert output.count("--- step 1 of 2: says one\n") == 1 and "again in 10 s" in output


def test_those_before_the_first_are_skipped(steps):
    code, line, output = steps(["says", "one"], ["says", "two"], ["fails"], first=2)
    assert code == 1 and line["count"] == 1, output
    assert states(line) == [("says", "Skipped", None), ("says", "Succeeded", 0), ("fails", "Failed", 1)]
    assert "--- step 1 of 3: says one: succeeded in the run before" in output and " two" in output


@pytest.mark.parametrize("option", ["--settings=other", "--sett=other", "--pythonpath=/tmp", "--py=/tmp"])
def test_options_that_move_settings_or_path_are_refused_however_they_are_written(steps, option):
    code, line, output = steps(["says", "one"], ["says", option], ["says", "three"])
    assert code == 1 and states(line)[1:] == [("says", "Failed", 1), ("says", "NotRun", None)], output
    name = "settings" if "sett" in option else "pythonpath"
    assert line["message"] == f"step 2 of 3, says: the option --{name} is the target's to set; leave it out"


def test_options_that_the_program_itself_adds_are_its_own(steps):
    manage = steps.path / "manage.py"
    text = manage.read_text().replace("sys.argv", "[*sys.argv, '--settings=shop.settings']")
    assert "--settings" in text
    manage.write_text(text)
    code, _, output = steps(["says", "two"])
    assert code == 0, output


def test_a_file_that_has_the_number_of_the_report_is_left_alone(steps):
    code, line, output = steps(["closes"], ["says", "two"])
    assert code == 0 and states(line)[0] == ("closes", "Succeeded", 0), output
    assert {path.read_text() for path in steps.path.glob("kept*")} == {"kept"}


def test_what_a_step_leaves_behind_is_not_waited_for(steps):
    code, line, output = steps(["leaves"], ["says", "two"])
    assert code == 0 and line["count"] == 2, output
    os.kill(int((steps.path / "left").read_text()), signal.SIGKILL)  # it was still there


def test_a_step_ends_as_a_program_does(steps):
    code, _, output = steps(["exits"], ["says", "two"])
    assert code == 0 and output.index("at its end") < output.index("step 2 of 2"), output


def test_a_console_script_goes_over_to_its_interpreter_before_any_step(steps):
    script = steps.path / "shopctl"
    script.write_text(f"#!{sys.executable} -s\n" + MANAGE % "shop.settings")
    script.chmod(0o755)
    code, line, output = steps(["says", "one"], ["says", "two"], how=("--console", str(script)))
    assert code == 0 and line["count"] == 2, output
    assert [each.startswith("--- step") for each in output.splitlines()].count(True) == 4, output


def test_a_job_that_is_stopped_stops_its_step(steps):
    env = {"PATH": os.environ["PATH"], "DJK8S_TERMINATION_LOG": str(steps.log), "PYTHONUNBUFFERED": "1"}
    argv = steps.arguments(["waits"], ["says", "two"])
    with subprocess.Popen(argv, cwd=steps.path, env=env, stdout=subprocess.PIPE, text=True) as process:
        while process.stdout.readline().strip() != "waiting":
            assert process.poll() is None
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert process.returncode == 143 and "two" not in rest and steps.log.read_text() == ""
    assert children and not any(os.path.exists(f"/proc/{child}") for child in children)


def test_lengths_that_are_not_those_of_the_words_are_refused(steps, pyz):
    for lengths in ("2", "0,1", "x"):
        argv = [sys.executable, str(pyz), "--script", "manage.py", f"--lengths={lengths}", "--", "says"]
        done = subprocess.run(argv, cwd=steps.path, capture_output=True, text=True)
        assert done.returncode == 2 and "--lengths" in done.stderr
    argv = [sys.executable, str(pyz), "--script", "manage.py", "--lengths=1", "--first=2", "--", "says"]
    done = subprocess.run(argv, cwd=steps.path, capture_output=True, text=True)
    assert done.returncode == 2 and "--first" in done.stderr


def test_a_project_that_does_not_start_has_no_steps(steps):
    (steps.path / "manage.py").unlink()
    code, line, output = steps(["says", "one"], how=("--discover",))
    assert code == 1 and line["reason"] == "ManageNotFound" and "steps" not in line, output
    code, line, output = steps(["says", "one"], how=("--console", "nosuch"))
    assert code == 1 and line["reason"] == "ManageNotFound" and "step 1 of 1, says: " in line["message"], output
