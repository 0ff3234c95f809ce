"""The lock among others: a project whose own `migrate` takes it as well, pools of third parties, threads that are
none."""

import json

import pytest
from conftest import eventually, finish, output_until, sql

ENGINE = "django.db.backends."
POOLS = {
    "Django": {"OPTIONS": {"pool": {"min_size": 1, "max_size": 1, "timeout": 20}}},
    "dj_db_conn_pool": {
        "ENGINE": "dj_db_conn_pool.backends.postgresql",
        "POOL_OPTIONS": {"POOL_SIZE": 1, "MAX_OVERFLOW": 0, "TIMEOUT": 20},
    },
    "geventpool": {
        "ENGINE": "django_db_geventpool.backends.postgresql_psycopg3",
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"MAX_CONNS": 1, "REUSE_CONNS": 1},
    },
}


@pytest.fixture
def site(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("postgresql", "others")}
    return shop


def applied(site, database=None):
    database = database or site.settings["DATABASES"]["default"]
    return sql(database, "SELECT count(*) FROM django_migrations WHERE app = 'stock'")[0][0]


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_of_one_is_enough(site, pool, tmp_path):
    """The lock's own session is none of the pool's, which would wait for the one that migrates to be given back."""
    plain = site.settings["DATABASES"]["default"]
    site.settings["DATABASES"]["default"] = {**plain, **POOLS[pool]}
    hold = tmp_path / "hold"
    hold.write_text("0003")
    with site.start("manage.py", "lockedmigrate", "--noinput", HOLD=str(hold)) as first:
        eventually(hold.with_suffix(".reached").exists, "a migrator in the middle of its work")
        with site.start("manage.py", "lockedmigrate", "--noinput", "--lock-timeout=200") as second:
            output_until(second, "waiting for migration lock")
            hold.unlink()
            ends = [finish(each) for each in (first, second)]
    assert [code for code, _ in ends] == [0, 0], ends
    assert applied(site, plain) == 5
    assert sum("Applying stock.0005_last" in output for _, output in ends) == 1


MIGRATE = {
    "djk8s's": "from djk8s.management.commands.lockedmigrate import Command as Theirs\n",
    "a copy of it": "from django.db import connections\n"
    "from django.core.management.commands.migrate import Command as Migrate\n"
    "class Theirs(Migrate):\n"
    "    def add_arguments(self, parser):\n"
    "        super().add_arguments(parser)\n"
    "        parser.add_argument('--lock-id', type=int, default=1000)\n"
    "    def handle(self, *args, **options):\n"
    "        with connections[options['database']].cursor() as cursor:\n"
    "            cursor.execute('SELECT pg_advisory_lock(%s)', [options['lock_id']])\n"
    "            try: super().handle(*args, **options)\n"
    "            finally: cursor.execute('SELECT pg_advisory_unlock(%s)', [options['lock_id']])\n",
}


@pytest.mark.parametrize("whose", MIGRATE)
def test_a_migrate_that_takes_the_same_lock_does_not_wait_for_ours(site, whose, tmp_path):
    code = MIGRATE[whose] + "class Command(Theirs):\n    pass\n"
    site.add_application("own", management__commands__migrate=code)
    hold = tmp_path / "hold"
    hold.write_text("0003")
    with site.start("manage.py", "lockedmigrate", "--noinput", HOLD=str(hold)) as first:
        eventually(hold.with_suffix(".reached").exists, "a migrator in the middle of its work")
        code, output = site.manage("lockedmigrate", "--noinput", "--migration-lock-timeout=2")
        assert code == 1 and "waited 2 s for migration lock 1000; it is held by server process" in output, output
        hold.unlink()
        code, output = finish(first)
    assert code == 0, output
    assert applied(site) == 5
    held = sql(site.settings["DATABASES"]["default"], "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert held == [(0,)]


@pytest.mark.parametrize("whose", MIGRATE)
def test_a_migrate_that_takes_the_same_lock_and_ours_elsewhere(site, whose, tmp_path):
    """Theirs would wait for ours, which waits for the migrations."""
    site.settings["DATABASES"]["direct"] = dict(site.settings["DATABASES"]["default"])
    site.add_application("own", management__commands__migrate=MIGRATE[whose] + "class Command(Theirs):\n    pass\n")
    log = tmp_path / "log"
    log.touch()
    env = {"DJK8S_TERMINATION_LOG": str(log)}
    with site.start("manage.py", "lockedmigrate", "--noinput", "--migration-lock-database=direct", **env) as process:
        code, output = finish(process)
    line = json.loads(log.read_text())
    assert (code, line["reason"]) == (1, "LockUnsupported") and "--lock-mode none" in line["message"], output
    code, output = site.manage("lockedmigrate", "--noinput", "--migration-lock-mode=none")
    assert code == 0 and applied(site) == 5, output


def test_a_migrate_that_takes_the_same_lock_waits_for_its_database_as_well(site):
    site.add_application("own", management__commands__migrate=MIGRATE["a copy of it"] + "Command = Theirs\n")
    owner = site.settings["DATABASES"]["default"]
    sql(
        owner,
        "DROP ROLE IF EXISTS shared_lock",
        "CREATE ROLE shared_lock LOGIN CONNECTION LIMIT 0 PASSWORD '%s'" % owner["PASSWORD"],
    )
    sql(owner, "GRANT ALL ON SCHEMA public TO shared_lock")
    site.settings["DATABASES"]["default"] = {**owner, "USER": "shared_lock"}
    with site.start("manage.py", "lockedmigrate", "--noinput", DJANGO_OPERATOR_RUN='{"secretEnv": []}') as process:
        output_until(process, "waiting for database 'default'")
        sql(owner, "ALTER ROLE shared_lock CONNECTION LIMIT -1")
        code, output = finish(process)
    sql(owner, "DROP OWNED BY shared_lock", "DROP ROLE shared_lock")
    assert code == 0 and "Applying stock.0005_last" in output, output


def test_greenlets_cannot_ping_so_the_server_is_told_to_be_patient(shop, databases):
    """With mysqlclient, which is C, a greenlet waits as long as the migration does."""
    shop.settings["DATABASES"] = {"default": databases("mysql", "others")}
    code = """
from django.db import connection
from django_operator_tasks.locks.mysql import MySQLLock
lock = MySQLLock(connection, 5)
lock.open()
print(lock.try_acquire(), lock.first_row("SELECT @@session.wait_timeout")[0], lock.pinger.is_alive())
print(lock.release())
lock.close()
"""
    patch = "import gevent.monkey; gevent.monkey.patch_all()\n"
    assert shop.script(code).split() == ["True", "120", "True", "True"]
    setup = (
        "import os; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings'); import django; django.setup()\n"
    )
    done, output = shop.python("-c", patch + setup + code)
    assert (done, output.split()) == (0, ["True", "31536000", "False", "True"])


def test_a_ping_that_hangs_is_not_waited_for_without_end(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("mysql", "others")}
    code = """
import threading
from django.db import connection
from django_operator_tasks.locks import mysql
mysql.PING_SECONDS, mysql.PING_LIMIT = 0.01, 0.1
hangs, asked = threading.Event(), threading.Event()
lock = mysql.MySQLLock(connection, 5)
lock.open()
ask = lock.first_row
def first_row(query, *values):
    if threading.current_thread() is lock.pinger:
        asked.set(), hangs.wait()
    return ask(query, *values)
lock.first_row = first_row
lock.try_acquire()
asked.wait()
print(lock.release())
lock.close()
hangs.set()
"""
    assert shop.script(code).split() == ["False"], "nobody knows whether it still was ours"
