"""Many migrators at once, on real databases: each migration once, nobody waits for longer than he wants."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from conftest import connect, eventually, finish, output_until, sql

ENGINES = ["sqlite", "postgresql", "mysql"]
ALL = ["0001_initial", "0002_first", "0003_held", "0004_index", "0005_last"]


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture
def site(shop, databases, engine):
    shop.settings["DATABASES"] = {"default": databases(engine, "locks")}
    return shop


def default(site):
    return site.settings["DATABASES"]["default"]


def seen(site):
    """The applied migrations of the application, and how often each of them ran."""
    names = [
        name for (name,) in sql(default(site), "SELECT name FROM django_migrations WHERE app = 'stock' ORDER BY id")
    ]
    return names, sql(default(site), "SELECT migration, count(*) FROM stock_run GROUP BY migration ORDER BY migration")


@pytest.mark.parametrize("number", [2, 20])
def test_many_migrate_at_once_and_one_is_killed_while_it_holds_the_lock(site, number, tmp_path):
    hold = tmp_path / "hold"
    hold.write_text("0003")
    processes = [
        site.start("manage.py", "lockedmigrate", "--noinput", "--lock-timeout=500", HOLD=str(hold))
        for _ in range(number)
    ]
    try:
        eventually(hold.with_suffix(".reached").exists, "a migrator in the middle of its work")
        victim = int(hold.with_suffix(".reached").read_text())
        assert victim in [process.pid for process in processes]
        os.kill(victim, signal.SIGKILL)
        hold.unlink()
        ends = {process.pid: finish(process) for process in processes}
    finally:
        for process in processes:
            process.kill()
    assert ends.pop(victim)[0] == -signal.SIGKILL
    assert {code for code, _ in ends.values()} == {0}, ends
    names, runs = seen(site)
    assert names == ALL
    assert [(name, int(count)) for name, count in runs] == [("0002", 1), ("0003", 1), ("0005", 1)]
    outputs = "".join(output for _, output in ends.values())
    for name in ("0003_held", "0004_index", "0005_last"):
        assert outputs.count("Applying stock." + name) == 1, "exactly one of the others took over"


# What ends when the test lets it: a lock on a row is waited for whether or not the client is still there.
# MariaDB ends a SLEEP, or a wait for a whole table, within 5 s of its client.
SLOW = {
    "postgresql": "INSERT INTO stock_plan SELECT 'basic' FROM (SELECT pg_sleep({0})) s WHERE NOT EXISTS (SELECT 1 FROM stock_plan)",
    "mysql": "INSERT INTO stock_plan SELECT 'basic' FROM stock_gate WHERE NOT EXISTS (SELECT 1 FROM stock_plan) FOR UPDATE",
}
RUNNING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'INSERT INTO stock_plan%'",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'INSERT INTO stock_plan%'",
}


def running(site, kind):
    ((number,),) = sql(default(site), RUNNING[kind])
    return int(number)


@contextlib.contextmanager
def slow_migration(site, kind):
    """A migration whose statement takes SECONDS on PostgreSQL, and on MySQL until the block says so."""
    wait = {"postgresql": "SELECT 1", "mysql": "SET SESSION innodb_lock_wait_timeout = 3600"}
    site.add_application(
        "slow",
        migrations__0001_initial="import os\nfrom django.db import migrations\n"
        "class Migration(migrations.Migration):\n    atomic = False\n    operations = ["
        "migrations.RunSQL('CREATE TABLE IF NOT EXISTS stock_plan (name varchar(9))'), "
        f"migrations.RunSQL('{wait[kind]}'), "
        f"migrations.RunSQL(\"{SLOW[kind]}\".format(os.environ['SECONDS']))]\n",
    )
    if kind == "postgresql":
        yield None
        return
    sql(
        default(site), "CREATE TABLE stock_gate (id int PRIMARY KEY) ENGINE InnoDB", "INSERT INTO stock_gate VALUES (1)"
    )
    with contextlib.closing(connect(default(site))) as gate:
        gate.cursor().execute("SELECT id FROM stock_gate FOR UPDATE")
        yield gate.rollback


@pytest.mark.parametrize("kind", SLOW)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_statement_that_a_killed_migrator_left_behind_is_waited_for(shop, databases, kind, how):
    """Its lock ended with its process, but the server may still be at work for it."""
    shop.settings["DATABASES"] = {"default": databases(kind, "orphan")}
    migrate = ("manage.py", "lockedmigrate", "slow", "--noinput")
    with slow_migration(shop, kind) as open_the_gate:
        with shop.start(*migrate, SECONDS="3600") as first:
            eventually(lambda: running(shop, kind) == 1, "its statement runs")
            code, output = shop.manage(*migrate[1:], "--lock-timeout=0.5", SECONDS="0")
            assert code == 1 and "migration lock 1000" in output and "still runs" not in output
            first.send_signal(how)
            finish(first)
        with shop.start(*migrate, SECONDS="1") as second:
            if kind == "mysql":  # PostgreSQL itself ends a statement that nobody waits for
                # It may have waited for the first lock before, whose session ends on its own.
                said = output_until(second, "whose statement still runs")
                assert re.search(r"whose statement still runs: connection \d+", said), said
                assert running(shop, kind) == 1
                open_the_gate()
            while second.poll() is None:
                # Twice, as the server's list is not of one instant.
                assert running(shop, kind) < 2 or running(shop, kind) < 2, "never two of them"
            code, output = finish(second)
    assert code == 0, output
    assert sql(default(shop), "SELECT name FROM stock_plan") == [("basic",)]


def test_a_statement_left_behind_is_waited_for_where_the_server_does_not_end_it(shop, databases):
    """And a session at no statement is not, as its client may be gone without a word."""
    key = "%d, 1000" % 0x646A70
    shop.settings["DATABASES"] = {"default": databases("postgresql", "orphan")}
    with connect(default(shop)) as other:

        def work():
            with contextlib.suppress(Exception):  # it is cancelled
                other.execute("SELECT pg_advisory_lock(%s), pg_sleep(3600)" % key)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
            eventually(lambda: sql(default(shop), held) == [(1,)], "somebody at work")
            code, output = shop.manage("lockedmigrate", "--lock-timeout=1")
            assert code == 1 and "whose statement still runs: server process" in output
            assert shop.manage("lockedmigrate", "--lock-mode=none", "stock", "0002")[0] == 0
        finally:
            other.cancel()
            worker.join()
        assert sql(default(shop), held) == [(1,)]
        assert shop.manage("lockedmigrate", "--lock-timeout=1")[0] == 0
    assert seen(shop)[0] == ALL


def test_a_session_at_no_statement_is_not_waited_for_by_mysql(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("mysql", "orphan")}
    other = connect(default(shop))
    other.cursor().execute("SELECT GET_LOCK('at-work-1000-orphan', 0)")
    assert shop.manage("lockedmigrate", "--lock-timeout=1")[0] == 0
    other.close()


def test_a_lock_that_is_held_times_out_naming_its_holder_and_is_given_back(site, tmp_path, engine):
    hold = tmp_path / "hold"
    hold.write_text("0002")
    with site.start("manage.py", "lockedmigrate", HOLD=str(hold)) as holder:
        try:
            eventually(hold.with_suffix(".reached").exists, "the holder at work")
            code, output = site.manage("lockedmigrate", "--lock-timeout=1")
            assert code == 1 and "waited 1 s for migration lock 1000; it is held by " in output
            who = {
                "sqlite": str(holder.pid),
                "postgresql": r"server process \d+ \(client 127.0.0.1",
                "mysql": r"connection \d+ \(user tests, client 127",
            }
            assert re.search(who[engine], output), output
            for option in ("--plan", "--check"):
                code, output = site.manage("lockedmigrate", option)
                assert "lock" not in output and code == (option == "--check"), output
            assert site.manage("lockedmigrate", "--lock-id=7", "--plan")[0] == 0
        finally:
            hold.unlink()
        assert finish(holder)[0] == 0
    assert site.manage("lockedmigrate", "--lock-timeout=0")[0] == 0, "it was given back"


def test_the_lock_is_the_one_that_other_migrators_take(shop, databases):
    """The number in PostgreSQL is that of djk8s, authentik and others; -L and the setting change it."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "locks")}
    with connect(default(shop)) as other:
        other.execute("SELECT pg_advisory_lock(1000)")
        code, output = shop.manage("lockedmigrate", "--lock-timeout=0.1")
        assert code == 1 and "migration lock 1000" in output
        other.execute("SELECT pg_advisory_lock(8)")
        code, output = shop.manage("lockedmigrate", "-L", "8", "--lock-timeout=0.1")
        assert code == 1 and "migration lock 8" in output
        assert shop.manage("lockedmigrate", "-L", "7")[0] == 0
        shop.settings["DJK8S_MIGRATE_LOCK_ID"] = 8
        assert "migration lock 8" in shop.manage("lockedmigrate", "--lock-timeout=0.1")[1]
        assert shop.manage("lockedmigrate", "--lock-mode=none")[0] == 0


@pytest.mark.everywhere
def test_a_lock_that_was_cut_is_reported(shop, databases, tmp_path):
    """Somebody ends the session that holds the lock; the migrations still run to their end."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "locks")}
    hold = tmp_path / "hold"
    hold.write_text("0002")
    with shop.start("manage.py", "lockedmigrate", HOLD=str(hold)) as migrator:
        eventually(hold.with_suffix(".reached").exists, "the migrator at work")
        (ended,) = sql(
            default(shop), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
        )
        assert ended == (True,)
        hold.unlink()
        code, output = finish(migrator)
    assert code == 1 and "lock 1000 was gone at their end" in output
    assert seen(shop)[0] == ALL


@pytest.mark.parametrize("pool", [False, True])
def test_a_session_from_before_the_wait_is_not_trusted_after_it(shop, databases, pool):
    """Servers and balancers cut what is silent for long."""
    options = {"application_name": "migrator", **({"pool": {"min_size": 2, "max_size": 4}} if pool else {})}
    shop.settings["DATABASES"] = {"default": {**databases("postgresql", "locks"), "OPTIONS": options}}
    shop.add_application(
        "early",
        apps="from django.apps import AppConfig\nclass Early(AppConfig):\n    name = 'early'\n    def ready(self):\n"
        "        from django.db import connection\n        connection.cursor().execute('SELECT 1')\n",
    )
    asking = "FROM pg_stat_activity WHERE application_name = 'migrator' AND query LIKE '%pg_try_advisory_lock%'"
    mine = asking.replace("query LIKE", "query NOT LIKE")
    with connect({**default(shop), "OPTIONS": {}}) as other:
        other.execute("SELECT pg_advisory_lock(1000)")
        with shop.start("manage.py", "lockedmigrate") as waiting:
            output_until(waiting, "waiting for migration lock 1000")
            eventually(lambda: sql(default(shop), "SELECT count(*) " + asking) == [(1,)], "it asks again and again")
            if pool:
                sql(default(shop), "SELECT pg_terminate_backend(pid, 10000) " + mine)
            else:
                eventually(lambda: sql(default(shop), "SELECT count(*) " + mine) == [(0,)], "no other session")
            other.execute("SELECT pg_advisory_unlock(1000)")
            code, output = finish(waiting)
    assert code == 0, output


def test_who_calls_it_keeps_his_session(shop, databases):
    """A role, a limit, what is not committed yet."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "locks")}
    code = (
        "from django.core.management import call_command\nfrom django.db import connection, transaction\n"
        "cursor = connection.cursor()\ncursor.execute(\"SET lock_timeout = '2s'\")\n"
        "cursor.execute('CREATE TABLE log (id int)')\ntransaction.set_autocommit(False)\n"
        "cursor.execute('INSERT INTO log VALUES (1)')\ncall_command('lockedmigrate', 'contenttypes', verbosity=0)\n"
        "print(transaction.get_autocommit())\n"
        "for query in ('SHOW lock_timeout', 'SELECT count(*) FROM log'):\n"
        "    cursor = connection.cursor()\n    cursor.execute(query)\n    print(cursor.fetchone()[0])\n"
    )
    assert shop.script(code).split() == ["False", "2s", "1"]


def test_the_lock_of_a_database_that_stands_in_a_file_of_options(shop, databases, tmp_path):
    here, other = databases("mysql", "one"), databases("mysql", "two")
    for settings, expected in ((here, 1), (other, 0)):
        file = tmp_path / (settings["NAME"] + ".cnf")
        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "database": "NAME"}
        lines = ["%s = %s" % (name, settings[key]) for name, key in names.items()]
        file.write_text("\n".join(["[client]", *lines, ""]))
        options = {"read_default_file": str(file)}
        shop.settings["DATABASES"] = {"default": {"ENGINE": "django.db.backends.mysql", "OPTIONS": options}}
        with contextlib.closing(connect(here)) as holder:
            holder.cursor().execute("SELECT GET_LOCK('migrate-1000-one', 0)")
            code, output = shop.manage("lockedmigrate", "--lock-timeout=0.5")
        assert code == expected, output


def test_what_broke_in_a_migration_is_what_is_told(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("postgresql", "locks")}
    sql(default(shop), "CREATE TABLE stock_run (id int)")
    code, output = shop.manage("lockedmigrate")
    assert code == 1 and 'relation "stock_run" already exists' in output
    assert sql(default(shop), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


@pytest.mark.everywhere
def test_several_databases_are_migrated_in_the_order_given(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("sqlite", "one"), "second": databases("postgresql", "two")}
    code, output = shop.manage("lockedmigrate", "--database=second", "--database", "default", "--database=second")
    assert code == 0, output
    assert output.count("Applying stock.0001") == 2, "each once"
    for settings in shop.settings["DATABASES"].values():
        assert sql(settings, "SELECT count(*) FROM django_migrations WHERE app = 'stock'") == [(5,)]
    assert shop.manage("lockedmigrate", "--database=third")[0] != 0


OWN = {
    "made of it": "from django_operator_tasks.management.commands.lockedmigrate import Command as Locked\n"
    "class Command(Locked):\n    pass\n",
    "calls it": "from django.core.management import call_command\n"
    "from django.core.management.commands.migrate import Command as Migrate\n"
    "class Command(Migrate):\n"
    "    def handle(self, *args, **options):\n        call_command('lockedmigrate', lock_timeout=1)\n",
    "is none of Django's": "from django.core.management import call_command\n"
    "from django.core.management.base import BaseCommand\n"
    "from django.core.management.commands.migrate import Command as Migrate\n"
    "class Command(BaseCommand):\n    autodetector = getattr(Migrate, 'autodetector', None)\n"
    "    def handle(self, *args, **options):\n        call_command('lockedmigrate', lock_timeout=1)\n",
    "adds to Django's": "from django.core.management.commands.migrate import Command as Migrate\n"
    "class Command(Migrate):\n"
    "    def handle(self, *args, **options):\n        super().handle(*args, **options)\n        print('and more')\n",
}


@pytest.mark.parametrize("how", OWN)
@pytest.mark.parametrize("command", ["migrate", "lockedmigrate"])
def test_a_projects_own_migrate_that_uses_this_one(shop, databases, how, command):
    shop.settings["DATABASES"] = {"default": databases("postgresql", "locks")}
    shop.add_application("own", management__commands__migrate=OWN[how])
    code, output = shop.manage(command)
    assert code == 0, output
    assert seen(shop)[0] == ALL
    assert ("and more" in output) is (how == "adds to Django's")


def test_a_projects_own_migrate_that_calls_it_for_each_database_has_each_lock(shop, databases):
    shop.settings["DATABASES"] = {name: databases("postgresql", "locks_" + name) for name in ("default", "second")}
    body = (
        "from django.core.management import call_command\nfrom django.core.management.commands.migrate import Command as Migrate\n"
        "from django.db import connections\nfrom django.db.models.signals import pre_migrate\n"
        "def look(using, **_):\n"
        "    with connections[using].cursor() as cursor:\n"
        '        cursor.execute("SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database'
        " WHERE locktype = 'advisory' AND objsubid = 1 AND datname = current_database()\")\n"
        "        print(using, cursor.fetchone()[0])\n"
        "class Command(Migrate):\n"
        "    def handle(self, *args, **options):\n"
        "        pre_migrate.connect(look, dispatch_uid='look')\n"
        "        for name in connections: call_command('lockedmigrate', database=name, verbosity=0, lock_timeout=1)\n"
    )
    shop.add_application("own", management__commands__migrate=body)
    for command in ("migrate", "lockedmigrate"):
        code, output = shop.manage(command, "-v0")
        assert code == 0, output
        assert {tuple(line.split()) for line in output.splitlines()} == {("default", "1"), ("second", "1")}, output


def test_a_projects_own_migrate_that_is_broken_is_not_passed_over(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("postgresql", "locks")}
    shop.add_application("own", management__commands__migrate="import os\nX = os.no_such_thing\n")
    code, output = shop.manage("lockedmigrate", "--skip-checks")
    assert code == 1
    assert "no_such_thing" in output
    assert sql(default(shop), "SELECT count(*) FROM pg_tables WHERE tablename = 'django_migrations'") == [(0,)]


def test_the_server_notices_a_holder_that_says_no_word(shop, databases):
    """A machine that lost its power holds no lock for hours."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "locks")}
    code = (
        "from django.db import connection\nfrom django_operator_tasks.locks.postgresql import PostgresLock\n"
        "lock = PostgresLock(connection, 7); lock.open(); print(lock.try_acquire())\n"
        "for name in ('tcp_keepalives_idle', 'idle_session_timeout'): print(lock.first_row('SHOW ' + name)[0])\n"
        "print(lock.release()); lock.close()"
    )
    assert shop.script(code).split() == ["True", "30", "0", "True"]


@pytest.mark.parametrize(("ping", "kept"), [("0.2", "True"), ("3600", "False")])
def test_mysql_ends_a_session_that_is_silent_and_ours_is_not(shop, databases, ping, kept):
    shop.settings["DATABASES"] = {"default": databases("mysql", "locks")}
    code = (
        "from django.db import connection, Error\nfrom django_operator_tasks.locks import base, mysql\n"
        "mysql.PING_SECONDS, mysql.SILENT_SECONDS = %s, 20\n"
        "lock = mysql.MySQLLock(connection, 7); lock.open(); assert lock.try_acquire()\n"
        "if mysql.PING_SECONDS > 20: lock.connection.cursor().execute('SET SESSION wait_timeout = 2')\n"
        "import time\nstart = time.monotonic()\n"
        "with connection.cursor() as cursor:\n"
        "    held = True\n"
        "    while held and time.monotonic() < start + 25:\n"
        "        time.sleep(0.2); cursor.execute('SELECT IS_USED_LOCK(%%s)', [lock.name]); held = cursor.fetchone()[0] is not None\n"
        "print(held, base.release(lock)); lock.close()"
    ) % ping
    assert shop.script(code).split() == [kept, kept]


class TestSQLite:
    """The lock is a file."""

    LOCK = "from django.db import connection\nfrom django_operator_tasks.locks import migration_lock\nfrom django_operator_tasks.locks.sqlite import FileLock\n"

    def test_another_path_to_the_same_file_is_the_same_lock(self, shop, databases, tmp_path):
        real = databases("sqlite", "real")
        shop.settings["DATABASES"] = {"default": real}
        (tmp_path / "link").symlink_to(real["NAME"])
        code = (
            self.LOCK
            + "lock = FileLock(connection, 1000); lock.open(); lock.try_acquire(); print('held', flush=True); input()"
        )
        setup = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'; import django; django.setup()\n"
        holder = subprocess.Popen(
            [sys.executable, "-c", setup + code],
            cwd=shop.path,
            env=shop.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with holder:
            assert holder.stdout.readline() == "held\n"
            shop.settings["DATABASES"] = {"default": {**real, "NAME": str(tmp_path / "link")}}
            assert "migration lock 1000" in shop.manage("lockedmigrate", "--lock-timeout=0.1")[1]
            shop.settings["DATABASES"] = {
                "default": {**real, "NAME": "file:%s?mode=rwc" % real["NAME"], "OPTIONS": {"uri": True}}
            }
            assert "migration lock 1000" in shop.manage("lockedmigrate", "--lock-timeout=0.1")[1]
            holder.kill()

    def test_a_file_system_without_locks_is_said_and_a_lost_file_too(self, shop, databases):
        shop.settings["DATABASES"] = {"default": databases("sqlite", "real")}
        code = self.LOCK + (
            "import errno, fcntl, os\nfrom django_operator_tasks.errors import TaskError\n"
            "try:\n    with migration_lock(connection, 7, None, print): os.remove(connection.settings_dict['NAME'] + '.migrate-7.lock')\n"
            "except TaskError as error: print(error.reason)\n"
            "def flock(*args): raise OSError(errno.ENOLCK, 'No locks available')\n"
            "fcntl.flock = flock\n"
            "try:\n    with migration_lock(connection, 7, None, print): pass\n"
            "except TaskError as error: print(error.reason)\n"
        )
        assert shop.script(code).split() == ["LockLost", "LockUnsupported"]


class TestPgBouncer:
    """A pooler hands a server's session to somebody else after each transaction."""

    @pytest.fixture
    def pooled(self, shop, databases, pgbouncer):
        direct = databases("postgresql", "pooled")
        shop.settings["DATABASES"] = {
            "default": {**direct, "PORT": str(pgbouncer), "DISABLE_SERVER_SIDE_CURSORS": True},
            "direct": direct,
            "session": {**direct, "PORT": str(pgbouncer), "NAME": "session_pooled"},
        }
        return shop

    def locks(self, site, number):
        """So many are held: a server's process ends a little later than its client."""
        count = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
        eventually(lambda: sql(site.settings["DATABASES"]["direct"], count) == [(number,)], "%d locks" % number)

    def test_it_is_detected_and_no_lock_is_stranded(self, pooled):
        code, output = pooled.manage("lockedmigrate")
        assert code == 1 and "pooler in transaction mode" in output and "DJK8S_MIGRATE_LOCK_DATABASE" in output
        self.locks(pooled, 0)

    def test_twenty_at_once_are_all_refused(self, pooled):
        processes = [pooled.start("manage.py", "lockedmigrate") for _ in range(20)]
        ends = [finish(process) for process in processes]
        assert [code for code, _ in ends] == [1] * 20, ends
        assert all("pooler in transaction mode" in output for _, output in ends), ends
        self.locks(pooled, 0)

    @pytest.mark.parametrize("way", ["option", "setting", "setting by alias"])
    def test_a_direct_database_holds_the_lock(self, pooled, way, tmp_path):
        hold = tmp_path / "hold"
        hold.write_text("0002")
        argv = ["lockedmigrate"]
        if way == "option":
            argv.append("--lock-database=direct")
        else:
            pooled.settings["DJK8S_MIGRATE_LOCK_DATABASE"] = "direct" if way == "setting" else {"default": "direct"}
        with pooled.start("manage.py", *argv, HOLD=str(hold)) as migrator:
            eventually(hold.with_suffix(".reached").exists, "the migrator at work")
            self.locks(pooled, 1)
            code, output = pooled.manage(*argv, "--lock-timeout=0.1")
            assert code == 1 and "migration lock 1000" in output
            hold.unlink()
            assert finish(migrator)[0] == 0
        self.locks(pooled, 0)

    def test_several_poolers_behind_one_address_are_found_out_as_well(self, pooled, three_pgbouncers):
        pooled.settings["DATABASES"]["default"]["PORT"] = str(three_pgbouncers)
        processes = [pooled.start("manage.py", "lockedmigrate") for _ in range(10)]
        ends = [finish(process) for process in processes]
        assert [code for code, _ in ends] == [1] * 10, ends
        assert all("pooler in transaction mode" in output for _, output in ends), ends
        self.locks(pooled, 0)

    def test_a_pooler_that_has_one_session_only_is_explained(self, pooled):
        pooled.settings["DATABASES"]["default"]["NAME"] = "one_pooled"
        code, output = pooled.manage("lockedmigrate")
        assert code == 1
        assert "gives no further session" in output
        self.locks(pooled, 0)

    def test_more_migrators_than_a_pool_has_sessions(self, pooled):
        """In session mode a waiting migrator may not keep from the one at work what that one needs."""
        processes = [pooled.start("manage.py", "lockedmigrate", "--database=session") for _ in range(8)]
        ends = [finish(process) for process in processes]
        assert [code for code, _ in ends] == [0] * 8, ends
        assert sum("Applying stock.0001" in output for _, output in ends) == 1

    def test_session_mode_is_fine(self, pooled):
        code, output = pooled.manage("lockedmigrate", "--database=session")
        assert code == 0, output

    def test_none_takes_none(self, pooled):
        assert pooled.manage("lockedmigrate", "--lock-mode=none")[0] == 0


def test_a_migration_that_ends_the_process_has_not_migrated(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("sqlite", "ending")}
    shop.add_application(
        "ending",
        migrations__0001_initial="import sys\nfrom django.db import migrations\n"
        "class Migration(migrations.Migration):\n"
        "    operations = [migrations.RunPython(lambda apps, editor: sys.exit(0))]\n",
    )
    code, output = shop.manage("lockedmigrate", "ending")
    assert code == 1 and "ended the process before its end" in output
