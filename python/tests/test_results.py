"""What the installed commands leave in the termination log, without the operator."""

import json
import signal

import pytest
from conftest import connect, finish, output_until

ADMIN = {
    "DJANGO_ADMIN_USERNAME": "ann",
    "DJANGO_ADMIN_PASSWORD": "long-enough-1",
    "DJANGO_ADMIN_EMAIL": "a@example.com",
}


@pytest.fixture
def result(shop, tmp_path):
    """Runs a command; its exit code and what stands in the log."""
    log = tmp_path / "log"

    def result(*argv, **env):
        log.write_text("")
        code, output = shop.manage(*argv, **{**ADMIN, "DJK8S_TERMINATION_LOG": str(log), **env})
        text = log.read_text()
        return code, json.loads(text) if text else text, output

    return result


@pytest.mark.everywhere
def test_each_command_says_what_it_did(shop, result, databases):
    shop.settings["DATABASES"] = {"default": databases("postgresql", "results")}
    where = [{"alias": "default", "engine": "postgresql", "host": "127.0.0.1", "name": "results"}]
    code, said, _ = result("lockedmigrate", "--noinput")
    assert (
        code == 0
        and said["action"] == "applied"
        and said["databases"] == where
        and said["names"][-1] == "stock.0005_last"
    )
    assert said["count"] > 10 and len(said["names"]) == 10 and said["settings"] == "shop.settings"
    assert result("lockedmigrate", "stock", "0002")[1]["names"] == [
        "stock.0003_held",
        "stock.0004_index",
        "stock.0005_last",
    ]
    assert result("lockedmigrate", "stock", "0002")[1]["action"] == "applied"
    assert result("lockedmigrate")[1]["count"] == 3
    assert result("ensureadmin")[1]["action"] == "created"
    assert result("ensureadmin")[1] == {
        "ok": True,
        "action": "unchanged",
        "count": 1,
        "names": ["ann"],
        "settings": "shop.settings",
        "databases": where,
    }
    assert result("ensureadmin", "--update", "--email=b@example.com")[1]["action"] == "updated"
    assert result("wait4db", "-s", "0.1")[1]["names"] == ["default"]


def test_a_failure_has_a_reason_and_no_password(shop, result, databases):
    shop.settings["DATABASES"] = {"default": databases("postgresql", "results")}
    code, said, _ = result("ensureadmin", "-p", "secret-on-the-line")
    assert (code, said["ok"], said["reason"]) == (1, False, "NotMigrated")
    code, said, _ = result("wait4db", "-t", "3", "-s", "0.1")
    assert (code, said["reason"]) == (1, "NotMigrated")
    code, said, _ = result("lockedmigrate", "nothing")
    assert code == 1 and "nothing" in said["message"]
    code, said, _ = result("lockedmigrate", "--nonsense")
    assert code == 2 and said["reason"] == "CommandFailed"
    assert said["message"] == "unrecognized arguments: --nonsense (exit code 2)"
    code, said, _ = result("lockedmigrate", "--check")
    assert (code, said["reason"], said["databases"][0]["name"]) == (1, "NotMigrated", "results")
    assert result("lockedmigrate", "--plan")[1]["action"] == "planned"
    result("lockedmigrate")
    shop.settings["AUTH_PASSWORD_VALIDATORS"] = [{"NAME": "shop.validators.Telling"}]
    code, said, _ = result("ensureadmin", "-p", "secret-on-the-line")
    assert code == 1 and "AUTH_PASSWORD_VALIDATORS" in said["message"] and "secret-on-the-line" not in json.dumps(said)
    code, said, _ = result("ensureadmin")
    assert "long-enough-1" not in json.dumps(said) and "***" in said["message"]


def test_a_traceback_is_type_place_and_message(shop, result):
    code, said, _ = result(
        "lockedmigrate",
        "--lock-mode=none",
        SETTINGS=json.dumps(
            {"DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nonexistent/db"}}}
        ),
    )
    assert (
        code == 1 and "Error" in said["message"] and "Traceback" not in said["message"] and len(said["message"]) < 300
    )
    shop.settings["DATABASES"] = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nonexistent/db"}}
    code, said, output = result("lockedmigrate")
    assert (code, said["reason"]) == (1, "DatabaseUnreachable") and "Traceback" not in output


def test_a_probe_leaves_the_log_of_its_container_alone(result):
    ends = {how: result("probe", how)[:2] for how in ("--live", "--ready", "--startup")}
    assert ends == {"--live": (0, ""), "--ready": (0, ""), "--startup": (1, "")}, "nothing is migrated"


def test_a_command_in_the_middle_of_another_programs_work_writes_nothing(shop, tmp_path):
    log = tmp_path / "log"
    log.touch()
    shop.script(
        "from django.core.management import call_command\ncall_command('lockedmigrate', database='default', verbosity=0)",
        DJK8S_TERMINATION_LOG=str(log),
    )
    assert log.read_text() == ""


@pytest.mark.parametrize(("how", "ends"), [(signal.SIGINT, None), (signal.SIGTERM, 143)])
def test_a_command_that_was_interrupted_is_not_ok(shop, tmp_path, how, ends):
    log = tmp_path / "log"
    log.touch()
    with shop.start("manage.py", "wait4db", "-s", "3600", "--ready-only", DJK8S_TERMINATION_LOG=str(log)) as waiting:
        output_until(waiting, "ready")
        waiting.send_signal(how)
        code, _ = finish(waiting)
    assert ends in (None, code)
    assert json.loads(log.read_text())["ok"] is False


@pytest.mark.parametrize("inside", [True, False])
def test_a_migrator_that_waits_ends_when_it_is_told_to(shop, databases, tmp_path, inside):
    """Also as the first process of a container. In a Job the pod says why, so that a disruption is no failure."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "results")}
    log = tmp_path / "log"
    log.touch()
    env = {"DJANGO_OPERATOR_RUN": '{"secretEnv":[]}'} if inside else {}
    code = "from django_operator_tasks.job import report\nreport.PATH = %r\n" % str(log)
    code += "import sys\nfrom django.core.management import execute_from_command_line\n"
    code += "execute_from_command_line(['manage.py', 'lockedmigrate'])"
    setup = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'\nos.getpid = lambda: 1\n"
    with connect(shop.settings["DATABASES"]["default"]) as other:
        other.execute("SELECT pg_advisory_lock(1000)")
        with shop.start("-c", setup + code, **env) as waiting:
            output_until(waiting, "waiting for migration lock 1000")
            waiting.send_signal(signal.SIGTERM)
            assert finish(waiting)[0] == 143
    text = log.read_text()
    assert text == "" if inside else json.loads(text)["ok"] is False


def test_a_waiter_ends_whatever_the_project_does_with_signals(shop):
    body = "import signal\nfrom django.apps import AppConfig\nclass Deaf(AppConfig):\n    name = 'deaf'\n"
    body += "    def ready(self): signal.signal(signal.SIGTERM, lambda *_: print('deaf', flush=True))\n"
    shop.add_application("deaf", apps=body)
    with shop.start("manage.py", "wait4db", "-s", "3600", "--ready-only") as waiting:
        output_until(waiting, "ready")
        waiting.send_signal(signal.SIGTERM)
        assert finish(waiting)[0] == 143


def test_what_cannot_be_read_was_not_taken_back(shop, result, databases):
    """A connection that breaks after the migrations, and one that cannot be had again."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "results")}
    ending = "SELECT pg_terminate_backend(pg_backend_pid())"
    shop.add_application(
        "cutting",
        models="",  # without, nobody tells it
        apps="import os\nfrom django.apps import AppConfig\nfrom django.db.models.signals import post_migrate\n"
        "def cut(sender, using, **kwargs):\n    from django.db import connections, Error\n"
        "    if os.environ.get('AWAY'): connections[using].settings_dict['PORT'] = '1'\n"
        f"    try: connections[using].cursor().execute('{ending}')\n    except Error: pass\n"
        "class Cutting(AppConfig):\n    name = 'cutting'\n    def ready(self): post_migrate.connect(cut, sender=self)\n",
    )
    apps = shop.settings["INSTALLED_APPS"]
    shop.settings["INSTALLED_APPS"] = [*[app for app in apps if app != "cutting"], "cutting"]
    code, said, output = result("lockedmigrate", "--noinput")
    assert code == 0, output
    assert said["action"] == "applied" and said["count"] > 10
    code, said, output = result("lockedmigrate", "--noinput", AWAY="1")
    assert code == 0, output
    assert (said["action"], said["count"], said["names"]) == ("applied", None, [])


CHANGES = {
    "a value that is none": "UPDATE people SET age = name::int",
    "a literal": "UPDATE people SET age = 'Bob 078-05-1120'",
    "another column": "UPDATE people SET nope = 'Bob 078-05-1120'",
    "JSON": "ALTER TABLE people ALTER name TYPE json USING ('{' || name || '}')::json",
    "words to look for": "SELECT to_tsquery(name) FROM people",
    "a quote": "UPDATE people SET name = 'O'Bob 078'",
    "a date in numbers": "SELECT make_date(1984, 13, 45)",
    "a date": "UPDATE people SET born = '1984-13-45'",
    "MySQL: a number": "ALTER TABLE people MODIFY name integer",
    "MySQL: a sum": "UPDATE people SET age = name + 1",
    "MySQL: syntax": "UPDATE people SET age = 'Bob 078-05-1120' OOPS",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_data_migration_met_is_nobodys_business(shop, result, databases, change):
    kind = "mysql" if "MySQL" in change else "postgresql"
    shop.settings["DATABASES"] = {"default": databases(kind, "results")}
    shop.add_application(
        "changing",
        migrations__0001_initial="from django.db import migrations\nclass Migration(migrations.Migration):\n"
        "    operations = [migrations.RunSQL(%r), migrations.RunSQL(%r), migrations.RunSQL(%r)]\n"
        % (
            "CREATE TABLE people (name varchar(40), age integer, born date)",
            "INSERT INTO people (name, age) VALUES ('Bob 078-05-1120', 1)",
            CHANGES[change],
        ),
    )
    code, said, _ = result("lockedmigrate", "changing")
    assert code == 1 and "0001_initial" not in said["message"], "no statement of the project's"
    assert "Error" in said["message"], "but what kind of"
    assert not any(part in said["message"] for part in ("Bob", "078", "1984", "1120")), said["message"]


def test_the_content_of_a_row_is_nobodys_business(shop, result, databases):
    """Servers put it into their words, on as many lines as it has."""
    for kind in ("postgresql", "mysql"):
        shop.settings["DATABASES"] = {"default": databases(kind, "results")}
        shop.add_application(
            "double",
            management__commands__migrate="from django.core.management.commands.migrate import Command as Base\n"
            "from django.contrib.auth.models import Group\n"
            "class Command(Base):\n    def handle(self, *args, **options):\n        super().handle(*args, **options)\n"
            "        for _ in range(2): Group.objects.create(name='a\\nTOPSECRET\\nb')\n",
        )
        code, said, _ = result("lockedmigrate", "--noinput")
        assert code == 1
        assert (
            "IntegrityError" in said["message"] and "(left out)" in said["message"] and "double" not in said["message"]
        )
        assert "TOPSECRET" not in said["message"]
        assert "migrate.py:" in said["message"], "the place is there"
