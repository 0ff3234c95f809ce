"""The commands, from outside: in an image that has never heard of them."""

import ast
import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import PROJECT

USER = {"DJANGO_ADMIN_USERNAME": "ann", "DJANGO_ADMIN_PASSWORD": "long-enough-1", "DJANGO_ADMIN_EMAIL": "a@example.com"}


def rows(tmp_path, query):
    with sqlite3.connect(tmp_path / "db.sqlite3") as db:
        return db.execute(query).fetchall()


def test_migrations_run_under_the_lock_and_once(manage, tmp_path):
    results = []
    workers = [threading.Thread(target=lambda: results.append(manage("lockedmigrate", "--noinput"))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [code for code, _ in results] == [0] * 4, results
    assert rows(tmp_path, "SELECT count(*) FROM django_migrations WHERE app = 'myapp'") == [(3,)]
    assert sum("Applying myapp.0001_initial" in output for _, output in results) == 1


def test_a_lock_that_is_held_times_out_naming_its_holder(manage, tmp_path):
    import fcntl

    with open("%s.migrate-7.lock" % (tmp_path / "db.sqlite3"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("somebody")
        lock.flush()
        code, output = manage("lockedmigrate", "--lock-id=7", "--lock-timeout=1")
        assert code == 1 and "held by somebody" in output
        assert manage("lockedmigrate", "--lock-id=7", "--plan")[0] == 0, "a plan needs no lock"
        assert manage("lockedmigrate", "--lock-id=7", "--lock-mode=none")[0] == 0
    assert manage("lockedmigrate", "--lock-id=7", "--lock-timeout=1")[0] == 0, "the kernel gave it back"


@pytest.mark.everywhere
def test_a_user_is_created_left_alone_and_updated(manage, tmp_path):
    manage("lockedmigrate")
    assert "created" in manage("ensureadmin", **USER)[1]
    assert rows(tmp_path, "SELECT email, is_superuser, is_staff FROM auth_user") == [("a@example.com", 1, 1)]
    changed = {**USER, "DJANGO_ADMIN_EMAIL": "b@example.com"}
    assert "unchanged" in manage("ensureadmin", **changed)[1], "without --update nobody is touched"
    assert "updated" in manage("ensureadmin", "--update", **changed)[1]
    assert "unchanged" in manage("ensureadmin", "--update", **changed)[1]
    assert "updated" in manage("ensureadmin", "--update", **changed, DJANGO_ADMIN_SUPERUSER="false")[1]
    assert rows(tmp_path, "SELECT email, is_superuser FROM auth_user") == [("b@example.com", 0)]


def test_the_last_words_of_a_program_are_kept(run, tmp_path):
    (tmp_path / "manage.py").write_text("import sys\nsys.exit('SETTINGS BROKEN: set FOO')\n")
    log = tmp_path / "log"
    log.touch()
    code, output = run("--script", "manage.py", "--", "migrate", cwd=tmp_path, DJK8S_TERMINATION_LOG=str(log))
    assert (code, output) == (1, "SETTINGS BROKEN: set FOO\n")
    assert json.loads(log.read_text())["message"] == "SETTINGS BROKEN: set FOO"


def test_bad_users_are_refused_by_name(manage):
    manage("lockedmigrate")
    for change, text in (
        ({"DJANGO_ADMIN_PASSWORD": "short"}, "AUTH_PASSWORD_VALIDATORS"),
        ({"DJANGO_ADMIN_USERNAME": "x" * 151}, "spec.username"),
        ({"DJANGO_ADMIN_USERNAME": ""}, "no username"),
        ({"DJANGO_ADMIN_ATTRIBUTES": '{"nope": "x"}'}, "spec.attributes.nope"),
        ({"DJANGO_ADMIN_ATTRIBUTES": "[nonsense"}, "no JSON object"),
    ):
        code, output = manage("ensureadmin", DJANGO_OPERATOR_RUN='{"secretEnv": []}', **{**USER, **change})
        assert code == 1 and text in output, output


def test_a_model_without_username_and_with_required_fields(manage, tmp_path):
    custom = {
        "DJANGO_SETTINGS_MODULE": "myapp.settings_custom",
        **USER,
        "DJANGO_ADMIN_USERNAME": "ann@example.com",
        "DJANGO_ADMIN_EMAIL": None,
    }
    manage("lockedmigrate", **custom)
    code, output = manage("ensureadmin", **custom)
    assert code == 1 and "requires team" in output
    code, output = manage("ensureadmin", **custom, DJANGO_ADMIN_ATTRIBUTES='{"team": "ops"}')
    assert code == 0, output
    assert rows(tmp_path, "SELECT email, team FROM people_person") == [("ann@example.com", "ops")]


def test_what_would_vanish_is_refused_and_what_lasts_is_not(manage, tmp_path):
    below = {str(tmp_path): True, str(tmp_path / "static"): False, str(tmp_path / "db.sqlite3"): False}
    for facts, code in (
        ({"mounts": {}}, 1),
        ({"mounts": below}, 1),
        ({"mounts": {"/": False, str(tmp_path): True}}, 0),
    ):
        env = {"DJANGO_OPERATOR_RUN": json.dumps(facts)}
        for command in (["lockedmigrate"], ["collectstatic", "--noinput"]):
            found, output = manage(*command, **env)
            assert found == code, output
            assert code == 0 or "vanishes with this pod" in output


def test_the_other_ways_to_start(run, tmp_path):
    script = tmp_path / "shopctl"
    script.write_text(
        "#!%s\nimport sys\nsys.path.insert(0, %r)\nfrom django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
        % (sys.executable, str(PROJECT))
    )
    script.chmod(0o755)
    path = "%s:%s" % (tmp_path, os.environ["PATH"])
    for how in (["--console", "shopctl"], ["--console", str(script)], ["--module", "django"]):
        code, output = run(*how, "--", "lockedmigrate", "--noinput", PATH=path)
        assert code == 0, output
    for how in (["--console", "nope"], ["--script", "nope.py"], ["--module", "nope"]):
        code, output = run(*how, "--", "lockedmigrate")
        assert code == 1 and "django.my.domain/manage" in output, output


def test_what_runs_where_python_is_too_old_parses_there(tmp_path):
    """All modules that are imported to say that Python is too old, with a secret to scrub."""
    source = PROJECT.parents[1] / "python/src"
    log = tmp_path / "termination-log"
    log.touch()
    look = """
import sys
sys.path.insert(0, %r)
from django_operator_tasks import __main__
sys.version_info = (3, 6, 15, "final", 0)
sys.argv = ["tasks", "--discover", "--container-command=uwsgi", "--container-command=--ini=x.ini", "--", "check"]
try:
    __main__.start()
except SystemExit:
    print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("django_operator_tasks")))
"""
    env = {"PATH": os.environ["PATH"], "DJK8S_TERMINATION_LOG": str(log), "DB_PASSWORD": "hunter2-hunter2"}
    done = subprocess.run(
        [sys.executable, "-c", look % str(source)], capture_output=True, text=True, check=True, env=env
    )
    assert json.loads(log.read_text())["reason"] == "UnsupportedPython"
    files = [Path(each) for each in done.stdout.split()]
    read = {"report.py", "scrub.py", "run_context.py", "__main__.py", "usual.py", "shell.py", "server_configs.py"}
    assert read <= {each.name for each in files}
    for file in [source / "__main__.py", *files]:
        ast.parse(file.read_text(), feature_version=(3, 6))


def test_the_helper_works_from_a_place_that_nobody_may_write(pyz, tmp_path):
    readonly = tmp_path / "ro"
    readonly.mkdir()
    copy = readonly / "tasks.pyz"
    copy.write_bytes(pyz.read_bytes())
    copy.chmod(0o444)
    readonly.chmod(0o555)
    done = subprocess.run([sys.executable, str(copy), "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "--script" in done.stdout


def test_an_address_as_user_name_is_the_same_user_the_second_time(manage, tmp_path):
    custom = {
        "DJANGO_SETTINGS_MODULE": "myapp.settings_custom",
        **USER,
        "DJANGO_ADMIN_USERNAME": "Ann@Example.COM",
        "DJANGO_ADMIN_EMAIL": "alerts@example.com",
        "DJANGO_ADMIN_ATTRIBUTES": '{"team": "ops"}',
    }
    manage("lockedmigrate", **custom)
    for expected in ("created", "unchanged", "unchanged"):
        code, output = manage("ensureadmin", "--update", **custom)
        assert code == 0 and expected in output, output
    assert rows(tmp_path, "SELECT email FROM people_person") == [("Ann@example.com",)]


@pytest.mark.everywhere
def test_a_command_within_a_command_may_fail_if_its_caller_takes_it(run, tmp_path):
    script = tmp_path / "manage.py"
    script.write_text(
        "import sys\nsys.path.insert(0, %r)\nimport django; django.setup()\n"
        "from django.core.management import BaseCommand, CommandError, call_command\n"
        "class Outer(BaseCommand):\n"
        "    def handle(self, **options):\n"
        "        try: call_command('loaddata', 'nothing')\n"
        "        except CommandError: print('taken')\n"
        "Outer().run_from_argv(['manage.py', 'outer'])\n" % str(PROJECT)
    )
    code, output = run("--script", str(script), "--", "outer")
    assert code == 0 and "taken" in output, output


def project_with(tmp_path, commands):
    """A project that is not ours, with commands of its own; the path of its manage.py."""
    folder = tmp_path / "own/own/management/commands"
    folder.mkdir(parents=True)
    for part in (folder, folder.parent, folder.parent.parent):
        (part / "__init__.py").touch()
    for name, body in commands.items():
        (folder / (name + ".py")).write_text(
            "from django.core.management import BaseCommand, CommandError, call_command\n"
            "class Command(BaseCommand):\n    def handle(self, **options):\n%s" % body
        )
    script = tmp_path / "own/manage.py"
    script.write_text(
        "import sys\nfrom django.conf import settings\n"
        "settings.configure(INSTALLED_APPS=['own'], DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': '/nonexistent/db'}})\n"
        "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
    )
    return str(script)


def test_the_projects_own_commands_are_not_replaced(run, tmp_path):
    """Someone who runs `probe` in a Job means his own."""
    body = "        print('its own')\n"
    script = project_with(tmp_path, {"probe": body, "wait4db": body})
    for name in ("probe", "wait4db"):
        assert run("--script", script, "--", name) == (0, "its own\n")


def test_a_command_of_ours_within_another_may_fail_if_its_caller_takes_it(run, tmp_path):
    body = (
        "        try: call_command('wait4db', timeout=0.1, stable=0.1, interval=0.1)\n"
        "        except CommandError: print('taken')\n"
    )
    code, output = run("--script", project_with(tmp_path, {"outer": body}), "--", "outer")
    assert code == 0, output
    assert "taken" in output
