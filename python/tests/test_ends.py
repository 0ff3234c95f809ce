"""However a program ends, its exit status and its line agree; and a project runs as it runs without the helper."""

import json
import os
import subprocess
import sys

import pytest
from conftest import COMPILED, PROJECT, SOURCE

HEAD = "import os, sys\nsys.path.insert(0, %r)\n" % str(PROJECT)
COMMAND_LINE = "from django.core.management import execute_from_command_line\n"


@pytest.fixture
def end(pyz, tmp_path):
    """Runs a manage.py, and tells its exit status, its line and its output."""
    log = tmp_path / "termination-log"

    def end(manage, *argv, how=("--script", "manage.py"), stdout=subprocess.PIPE, files=(), pyz=pyz, **env):
        log.write_text("")
        if manage is not None:
            (tmp_path / "manage.py").write_text(manage)
        for name, text in dict(files).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        done = subprocess.run(
            [sys.executable, str(pyz), *how, "--", *(argv or ["check"])],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                **COMPILED,
                "DATABASE_FILE": str(tmp_path / "db.sqlite3"),
                "STATIC_ROOT": str(tmp_path / "static"),
                "DJANGO_SETTINGS_MODULE": "myapp.settings",
                "DJK8S_TERMINATION_LOG": str(log),
                **env,
            },
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
        said = log.read_text()
        return done.returncode, json.loads(said) if said else None, (done.stdout or "") + done.stderr

    return end


RUNS = HEAD + COMMAND_LINE + "execute_from_command_line(sys.argv)\n"


@pytest.mark.parametrize(
    ("way", "status", "message"),
    [
        ("sys.exit(0)", 0, None),
        ("sys.exit()", 0, None),
        ("sys.exit(3)", 3, "exit code 3"),
        ("sys.exit(256)", 1, "exit code 256"),
        ("sys.exit(-1)", 255, "exit code -1"),
        ("sys.exit(True)", 1, "exit code"),
        ("sys.exit('words')", 1, "words"),
        ("sys.exit('')", 1, ""),
        ("sys.exit([])", 1, "[]"),
        ("raise ValueError('no')", 1, "ValueError: no (manage.py:"),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
        ("raise GeneratorExit", 1, "GeneratorExit"),
        ("import urllib.error; raise urllib.error.URLError(OSError(7, 'x'))", 1, "URLError"),
        ("raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})", 1, "Mute"),
        ("raise type('Long', (Exception,), {'reason': 'LockLost'})('x' * 10_000_000)", 1, "Long: xxx"),
        ("sys.excepthook = None; raise ValueError('no')", 1, "ValueError: no"),
        ("sys.excepthook = lambda *a: sys.exit(0); raise ValueError('no')", 1, "ValueError: no"),
        ("sys.exit(type('Mute', (), {'__str__': lambda self: 1 / 0})())", 1, "without words"),
        ("exec('def f(): f()\\nf()')", 1, "RecursionError"),
    ],
    ids=str,
)
@pytest.mark.parametrize("stage", ["before", "after"])
def test_status_and_line_agree(end, way, status, message, stage):
    run = HEAD + COMMAND_LINE
    manage = run + "execute_from_command_line(sys.argv)\n" + way if stage == "after" else run + way
    code, line, output = end(manage)
    if stage == "before" and status == 0:
        assert (code, line["ok"], line["reason"]) == (1, False, "NothingRan"), output
        return
    assert code == status and line["ok"] is (status == 0), (code, line, output)
    assert status == 0 or (line["reason"] == "CommandFailed" and message in line["message"]), line


@pytest.mark.parametrize("manage", ["", "import this", HEAD + "from myapp.wsgi import application"], ids=ascii)
def test_a_program_that_reaches_no_command_has_done_nothing(end, manage):
    code, line, _ = end(manage)
    assert (code, line["ok"], line["reason"]) == (1, False, "NothingRan")
    assert "execute_from_command_line" in line["message"]


READY = {
    "noisy/__init__.py": "",
    "noisy/apps.py": "from django.apps import AppConfig\n"
    "class Noisy(AppConfig):\n    name = 'noisy'\n"
    "    def ready(self):\n"
    "        from django.core.management import CommandError, call_command\n"
    "        try: call_command('loaddata', 'nothing')\n        except CommandError: print('taken')\n",
    "noisy_settings.py": "from myapp.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'noisy']\n",
}


@pytest.mark.parametrize("command", [["collectstatic", "--noinput"], ["check"], ["lockedmigrate"]], ids=str)
def test_a_command_that_fails_and_is_caught_while_django_starts_is_the_projects_affair(end, command):
    code, line, output = end(RUNS, *command, files=READY, DJANGO_SETTINGS_MODULE="noisy_settings")
    assert "taken" in output and (code, line["ok"]) == (0, True), line
    assert command[0] != "collectstatic" or line["action"] == "collected"


def test_a_command_that_ready_runs_is_not_the_one_that_was_asked_for(end):
    manage = HEAD + "import django\ndjango.setup()\n"
    code, line, _ = end(manage, files=READY, DJANGO_SETTINGS_MODULE="noisy_settings")
    assert (code, line["reason"]) == (1, "NothingRan")


def test_a_program_that_only_calls_a_command_has_run_one(end):
    manage = (
        HEAD + "import django\ndjango.setup()\nfrom django.core.management import call_command\ncall_command('check')\n"
    )
    code, line, output = end(manage)
    assert (code, line["ok"]) == (0, True), output


def test_a_failure_of_this_package_is_told_in_its_words_alone(end):
    _, line, _ = end("")
    assert line["message"].startswith("manage.py ended without")


def test_a_compiled_manage_py(end, tmp_path):
    import py_compile

    source = tmp_path / "source.py"
    source.write_text(RUNS)
    py_compile.compile(str(source), cfile=str(tmp_path / "manage.pyc"))
    code, line, output = end(None, how=("--script", "manage.pyc"))
    assert (code, line["ok"]) == (0, True), output


def test_a_look_for_djangos_command_line_changes_nothing(end):
    look = "import importlib.util\nimportlib.util.find_spec('django.core.management')\n"
    code, line, output = end(HEAD + look + RUNS, "lockedmigrate")
    assert (code, line["ok"], line["action"]) == (0, True, "applied"), output


def test_what_was_done_stays_done_in_a_locale_without_its_letters(end):
    assert end(RUNS, "lockedmigrate")[0] == 0
    env = {"DJANGO_ADMIN_USERNAME": "jörg", "DJANGO_ADMIN_PASSWORD": "long-enough-1", "PYTHONIOENCODING": "ascii"}
    code, line, output = end(RUNS, "ensureadmin", **env)
    assert (code, line["ok"], line["names"]) == (0, True, ["jörg"]), output


@pytest.mark.parametrize("where", ["/dev/full", "closed"])
def test_what_was_done_stays_done_when_nobody_can_be_told(end, where):
    assert end(RUNS, "lockedmigrate")[0] == 0
    env = {"DJANGO_ADMIN_USERNAME": "ann", "DJANGO_ADMIN_PASSWORD": "long-enough-1"}
    with open(where if where != "closed" else os.devnull, "w" if where != "closed" else "r") as stdout:
        code, line, output = end(RUNS, "ensureadmin", stdout=stdout, **env)
    assert (code, line["ok"], line["action"]) == (0, True, "created"), output


def test_a_failure_says_what_was_done_before_it(end):
    code, line, _ = end(RUNS + "sys.exit('no more')\n", "lockedmigrate")
    assert code == 1 and line["message"] == "no more"
    assert line["action"] == "applied" and line["count"] > 5


def test_a_program_that_is_not_there(end):
    for how in (
        ("--module", "nosuch.cli"),
        ("--module", "nosuch"),
        ("--module", "json.nosuch"),
        ("--console", "nosuch"),
        ("--script", "nosuch.py"),
    ):
        code, line, _ = end(None, how=how)
        assert (code, line["reason"]) == (1, "ManageNotFound"), how
    files = {"broken/__init__.py": "import a_module_that_is_not_there"}
    code, line, _ = end(None, how=("--module", "broken.cli"), files=files)
    assert (code, line["reason"]) == (1, "CommandFailed") and "a_module_that_is_not_there" in line["message"]


def test_without_django_the_interpreter_is_in_question(end):
    code, line, _ = end("import sys\nsys.modules['django'] = None\nimport django.core.management\n")
    assert code == 1 and "is this the interpreter that the project is installed for?" in line["message"]


PATCHED = (
    "import gevent.monkey\nimport sys\nassert 'django' not in sys.modules, 'too early'\ngevent.monkey.patch_all()\n"
)


def test_gevent_comes_before_django(end):
    code, line, output = end(PATCHED + RUNS, "lockedmigrate")
    assert (code, line["ok"]) == (0, True), output


def test_a_manage_py_behind_a_link_imports_from_where_it_lies(end, tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    (real / "manage.py").write_text("import beside\n" + RUNS)
    (real / "beside.py").write_text("")
    (tmp_path / "manage.py").symlink_to(real / "manage.py")
    code, _, output = end(None)
    assert code == 0, output


def test_a_program_sees_what_it_sees_without_the_helper(end, tmp_path):
    look = "import sys\nprint(__file__, __name__, sys.argv, sys.path[0], sys.modules['__main__'].__dict__ is globals(), __spec__ if '__spec__' in globals() else None)\n"
    _, _, output = end(look, "check", "--x")
    plain = subprocess.run(
        [sys.executable, "manage.py", "check", "--x"], cwd=tmp_path, capture_output=True, text=True
    ).stdout
    assert output.splitlines()[0] == plain.strip()


@pytest.mark.parametrize("kind", ["plain", "long", "spaces", "relocatable", "env", "env with options"])
def test_the_interpreter_of_a_console_script(end, tmp_path, kind):
    """As pip and uv write them."""
    home = tmp_path / ("a place" if kind == "spaces" else "bin")
    home.mkdir()
    (home / "python").symlink_to(sys.executable)
    heads = {
        "plain": "#!%s/python\n" % home,
        "long": "#!/bin/sh\n'''exec' %s/python \"$0\" \"$@\"\n' '''\n" % home,
        "spaces": "#!/bin/sh\n'''exec' \"%s/python\" \"$0\" \"$@\"\n' '''\n" % home,
        "relocatable": "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n",
        "env": "#!/usr/bin/env python\n",
        "env with options": "#!/usr/bin/env -S python -X utf8\n",
    }
    script = home / "shopctl"
    script.write_text(heads[kind] + "import sys\nprint(sys.executable)\n" + RUNS)
    script.chmod(0o755)
    path = "%s:%s" % (home, os.environ["PATH"])
    plain = subprocess.run(
        [str(script), "--help"], env={"PATH": path}, capture_output=True, text=True, cwd=tmp_path
    ).stdout
    code, line, output = end(None, how=("--console", "shopctl"), PATH=path)
    assert output.splitlines()[0] == plain.splitlines()[0] == "%s/python" % home
    assert "django" in line["message"] if code else line["ok"]  # the link is no environment of its own


OWN = {
    "own/__init__.py": "",
    "own/management/__init__.py": "",
    "own/management/commands/__init__.py": "",
    "own/management/commands/ensureadmin.py": "from django.core.management import BaseCommand\n"
    "class Command(BaseCommand):\n    def handle(self, **options): print('their own')\n",
    "own/management/commands/prepare.py": "from django.core.management import BaseCommand, call_command\n"
    "class Command(BaseCommand):\n    def handle(self, **options): call_command('ensureadmin')\n",
    "own/management/commands/probe.py": "from django.core.management import BaseCommand\n"
    "class Command(BaseCommand):\n    def handle(self, **options): print('their probe')\n",
    "own_settings.py": "from myapp.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'own']\n",
}


def test_only_the_command_that_was_asked_for_is_ours(end):
    env = {"files": OWN, "DJANGO_SETTINGS_MODULE": "own_settings"}
    assert "their own" in end(RUNS, "prepare", **env)[2]
    assert "their probe" in end(RUNS, "probe", **env)[2]
    code, line, output = end(RUNS, "ensureadmin", **env)
    assert code == 1 and "no username" in line["message"] and "their own" not in output


def test_settings_that_cannot_be_read_are_what_is_wrong(end):
    for settings, words in (("nosuch.settings", "nosuch"), (None, "DJANGO_SETTINGS_MODULE")):
        env = {"DJANGO_SETTINGS_MODULE": settings or ""}
        code, line, _ = end(RUNS, "lockedmigrate", **env)
        assert code == 1 and words in line["message"], line


def test_a_success_that_a_server_follows_leaves_no_line(pyz, tmp_path):
    """`lockedmigrate && exec gunicorn`: it would stand there as the last words of the server's crash."""
    sys.path.insert(0, str(SOURCE))
    from django_operator_tasks.job import report

    made = report.Report()
    log = tmp_path / "log"
    log.touch()
    made.write(str(log))
    assert log.read_text() == ""
    made.record_failure(ValueError("no"))
    made.write(str(log))
    assert json.loads(log.read_text())["ok"] is False
