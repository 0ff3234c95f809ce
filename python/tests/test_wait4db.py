"""wait4db, with servers that come and go."""

import os
import signal

import pytest
from conftest import SOURCE, connect, eventually, finish, output_until, sql
from servers import free_port

FAST = ["-s", "0.2", "-i", "0.1"]


@pytest.fixture
def site(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("postgresql", "waiting")}
    return shop


@pytest.mark.everywhere
def test_it_waits_for_the_migrations_that_somebody_else_makes(site):
    with site.start("manage.py", "wait4db", *FAST) as waiting:
        announced = output_until(waiting, "not migrated")
        assert "migrations to come, the next is contenttypes.0001_initial" in announced
        assert site.manage("lockedmigrate", "--noinput")[0] == 0
        code, rest = finish(waiting)
    assert code == 0 and "ready, without interruption" in rest


def test_it_waits_for_the_end_of_who_applied_the_last_one(site):
    """After the last row come the project's own handlers; the lock is held until they are done."""
    with connect(site.settings["DATABASES"]["default"]) as migrator:
        migrator.execute("SELECT pg_advisory_lock(1000)")
        with site.start("manage.py", "wait4db", *FAST) as waiting:
            output_until(waiting, "not migrated")
            assert site.manage("lockedmigrate", "--lock-mode=none")[0] == 0
            output_until(waiting, "by one that has not ended: server process")
            migrator.execute("SELECT pg_advisory_unlock(1000)")
            assert finish(waiting)[0] == 0
        migrator.execute("SELECT pg_advisory_lock(1000)")
        assert site.manage("wait4db", *FAST)[0] == 0, "another image is migrated, which is no matter of this one"


def test_ready_only_does_not(site):
    code, output = site.manage("wait4db", "--ready-only", *FAST)
    assert code == 0 and "migrat" not in output


def test_time_is_up_without_migrations(site):
    code, output = site.manage("wait4db", "-t", "5", *FAST)
    assert code == 1 and "waited 5 s for database 'default': not migrated" in output


def test_time_is_up_without_a_server(shop, databases):
    gone = {**databases("postgresql", "waiting"), "PORT": str(free_port())}
    shop.settings["DATABASES"] = {"default": gone}
    code, output = shop.manage("wait4db", "-t", "3", *FAST)
    assert code == 1 and "not ready" in output and "refused" in output
    assert gone["PASSWORD"] not in output


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_database_behind_a_container_that_starts_later_is_not_waited_for(shop, databases, engine):
    """A gate that waited for it would hold up the very container that it waits for."""
    there = databases(engine, "waiting")
    assert there["HOST"] == "127.0.0.1"
    gone = {**there, "PORT": str(free_port())}
    facts = {"DJANGO_OPERATOR_RUN": '{"classicSidecars": ["sql-proxy"], "nativeSidecars": false}'}
    either = {"DJANGO_OPERATOR_RUN": '{"classicSidecars": ["nginx"], "nativeSidecars": true}'}
    elsewhere = {"host": "127.0.0.1"} if engine == "postgresql" else {"read_default_file": "/nowhere"}
    for situation, settings, context, waited in (
        ("behind a sidecar", gone, facts, False),
        ("no sidecar", gone, {"DJANGO_OPERATOR_RUN": '{"classicSidecars": []}'}, True),
        ("elsewhere", {**gone, "HOST": "db.invalid"}, facts, True),
        ("its address is not told here", {**gone, "HOST": "", "OPTIONS": elsewhere}, facts, engine == "mysql"),
        ("behind one that is there already, perhaps", gone, either, True),
        ("there, and refuses the login", {**there, "PASSWORD": "wrong"}, facts, True),
        ("there, and not migrated", there, facts, True),
    ):
        shop.settings["DATABASES"] = {"default": settings}
        code, output = shop.manage("wait4db", "-t", "2", *FAST, **context)
        assert (code, "sql-proxy" in output) == ((1, False) if waited else (0, True)), (situation, output)
        assert ("make it a native sidecar" in output) == (context is either or not waited), (situation, output)


def test_an_interruption_starts_the_stable_time_anew(shop, databases, mariadb):
    """A server that stops answers nobody; what had been stable for a while counts for nothing."""
    shop.settings["DATABASES"] = {"default": databases("mysql", "waiting")}
    with shop.start("manage.py", "wait4db", "--ready-only", "-s", "3600", "-i", "0.1", "-t", "3600") as waiting:
        output_until(waiting, "ready, without interruption for 0 s")
        mariadb.stop(signal.SIGKILL)
        output_until(waiting, "not ready")
        mariadb.start()
        output_until(waiting, "ready, without interruption for 0 s")
        waiting.kill()


def test_several_databases_are_all_waited_for(site, databases):
    site.settings["DATABASES"]["other"] = databases("postgresql", "other")
    with site.start("manage.py", "wait4db", "-d", "default", "--database", "other", *FAST) as waiting:
        assert site.manage("lockedmigrate", "--database=default")[0] == 0
        output_until(waiting, "'default': ready")
        assert waiting.poll() is None, "the other is not there yet"
        assert site.manage("lockedmigrate", "--database=other")[0] == 0
        assert finish(waiting)[0] == 0
    assert "no database 'nope'" in site.manage("wait4db", "-d", "nope")[1]


def test_a_database_that_is_ahead_of_the_code_is_migrated(site):
    site.manage("lockedmigrate")
    sql(
        site.settings["DATABASES"]["default"],
        "INSERT INTO django_migrations (app, name, applied) VALUES ('stock', '0099_later', now())",
    )
    assert site.manage("wait4db", *FAST)[0] == 0


def backend(site, how):
    """Does something to the server's process that the waiting one talks to."""
    rows = eventually(
        lambda: sql(
            site.settings["DATABASES"]["default"], "SELECT pid FROM pg_stat_activity WHERE application_name = 'waiting'"
        ),
        "its session",
    )
    os.kill(rows[0][0], how)


def test_a_session_that_was_ended_is_an_interruption(site):
    with site.start("manage.py", "wait4db", "--ready-only", "-s", "3600", "-i", "0.1", PGAPPNAME="waiting") as waiting:
        output_until(waiting, "ready, without interruption for 0 s")
        backend(site, signal.SIGTERM)
        output_until(waiting, "not ready")
        output_until(waiting, "ready, without interruption for 0 s")
        waiting.kill()


def test_a_server_that_hangs_does_not_outlast_the_timeout(site):
    with site.start(
        "manage.py", "wait4db", "--ready-only", "-s", "3600", "-i", "0.1", "-t", "15", PGAPPNAME="waiting"
    ) as waiting:
        output_until(waiting, "ready, without interruption for 0 s")
        backend(site, signal.SIGSTOP)
        try:
            code, output = finish(waiting)
        finally:
            backend(site, signal.SIGCONT)
    assert code == 1
    assert "stopped to answer" in output


def test_a_database_without_its_driver_is_told_at_once(site):
    site.settings["DATABASES"]["other"] = {"ENGINE": "django.db.backends.oracle", "NAME": "x"}
    no_driver = site.tmp_path / "no-driver"
    no_driver.mkdir()
    for name in ("oracledb", "cx_Oracle"):
        (no_driver / (name + ".py")).write_text("raise ImportError('No module named ' + __name__)\n")
    code, output = site.manage("wait4db", "-t", "3600", "-d", "other", PYTHONPATH="%s:%s" % (no_driver, SOURCE))
    assert code == 1
    assert "oracle" in output.lower()


def test_a_database_in_memory_is_the_callers_own(shop):
    shop.settings["DATABASES"] = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    code = "from django.core.management import call_command as call\ncall('migrate', verbosity=0)\ncall('wait4db', stable=0.1, timeout=1, interval=0.1)"
    assert "ready" in shop.script(code)
