"""What is waited for, and what is not: by codes, not by words, and where a database is nobody's or a right is missing."""

import json
import sys

import pytest
from conftest import SOURCE, finish, output_until, sql

sys.path.insert(0, str(SOURCE))

JOB = {"DJANGO_OPERATOR_RUN": '{"secretEnv": []}'}


@pytest.fixture
def site(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("postgresql", "awaited")}
    return shop


def role(site, options="LOGIN"):
    """Makes it the user of the project's database, with no right but that of everybody."""
    owner = site.settings["DATABASES"]["default"]
    if sql(owner, "SELECT 1 FROM pg_roles WHERE rolname = 'limited'"):
        sql(owner, "DROP OWNED BY limited", "DROP ROLE limited")
    sql(owner, "CREATE ROLE limited PASSWORD '%s' %s" % (owner["PASSWORD"], options))
    site.settings["DATABASES"]["default"] = {**owner, "USER": "limited"}
    return owner


def mysql_role(site):
    """The same at MySQL."""
    owner = site.settings["DATABASES"]["default"]
    sql(owner, "CREATE OR REPLACE USER limited IDENTIFIED BY '%s'" % owner["PASSWORD"])
    site.settings["DATABASES"]["default"] = {**owner, "USER": "limited"}
    return owner


def test_a_server_without_room_is_waited_for(site):
    owner = role(site, "LOGIN CONNECTION LIMIT 0")
    sql(owner, "GRANT ALL ON SCHEMA public TO limited")
    with site.start("manage.py", "lockedmigrate", "--noinput", **JOB) as process:
        output_until(process, "waiting for database 'default'")
        sql(owner, "ALTER ROLE limited CONNECTION LIMIT -1")
        code, output = finish(process)
    assert code == 0 and "Applying stock.0005_last" in output, output


def test_a_login_that_is_refused_is_not_waited_for(site):
    owner = role(site, "NOLOGIN")
    code, output = site.manage("lockedmigrate", "--noinput", **JOB)
    assert code == 1 and "waiting for" not in output, output
    site.settings["DATABASES"]["default"] = {**owner, "NAME": "nosuch"}
    code, output = site.manage("lockedmigrate", "--noinput", **JOB)
    assert code == 1 and "waiting for" not in output and "nosuch" in output, output


def test_mysql_refuses_by_code(shop, databases):
    database = databases("mysql", "awaited")
    for change in ({"PASSWORD": "wrong"}, {"NAME": "nosuch"}, {"USER": "nobody-at-all"}):
        shop.settings["DATABASES"] = {"default": {**database, **change}}
        code, output = shop.manage("lockedmigrate", "--noinput", **JOB)
        assert code == 1 and "waiting for" not in output, output


ORACLE = "ORA-01017: invalid username/password; logon denied"


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        # Where libpq has only words, those of a server that starts, in whatever language, are waited for.
        (("connection failed: FATAL:  the database system is starting up",), True),
        (("connection failed: FATAL:  the database system is in recovery mode",), True),
        (("connection failed: FATAL:  the database system is not yet accepting connections",), True),
        (("connection failed: FATAL:  the database system is shutting down",), True),
        (("connection failed: FATAL:  sorry, too many clients already",), True),
        (("connection failed: FATAL:  das Datenbanksystem startet",), True),
        (("connection failed: ВАЖНО:  система баз данных запускается",), True),
        (("connection to server failed: Connection reset by peer",), True),
        (("server closed the connection unexpectedly",), True),
        (('connection failed: FATAL:  password authentication failed for user "shop"',), False),
        (('connection failed: FATAL:  database "shop" does not exist',), False),
        (('connection failed: FATAL:  no pg_hba.conf entry for host "10.0.0.1"',), False),
        ((1040, "Too many connections"), True),
        ((2002, "Can't connect to local server through socket"), True),
        ((2003, "Can't connect to MySQL server"), True),
        ((2005, "Unknown server host"), True),
        ((2013, "Lost connection to server at 'handshake: reading initial communication packet'"), True),
        ((1053, "Server shutdown in progress"), True),
        ((1045, "Zugriff verweigert"), False),
        ((1049, "Base de données inconnue"), False),
        (("ORA-12514: TNS:listener does not currently know of service requested in connect descriptor",), True),
        ((ORACLE,), False),
    ],
    ids=str,
)
def test_which_errors_pass_by_themselves(error, transient):
    from django.db import OperationalError

    from django_operator_tasks.db.failures import is_transient

    assert is_transient(OperationalError(*error)) is transient


@pytest.mark.parametrize(
    ("code", "words", "transient"),
    [
        (0, "DPY-4011: the database or network closed the connection", True),
        (12514, "ORA-12514: TNS:listener does not currently know of service requested in connect descriptor", True),
        (12528, "ORA-12528: TNS:listener: all appropriate instances are blocking new connections", True),
        (1034, "ORA-01034: ORACLE not available", True),
        (1017, "ORA-01017: invalid username/password; logon denied", False),
        (942, "ORA-00942: table or view does not exist", False),
        (1031, "ORA-01031: insufficient privileges", False),
    ],
)
def test_an_error_of_oracles_says_itself_whether_it_passes(code, words, transient):
    """As its driver makes it, and Django's backend hands it on."""
    from django.db import DatabaseError, OperationalError
    from oracledb import errors, exceptions

    from django_operator_tasks.db.failures import is_transient, lacks_right

    said = errors._Error(words, code=code)
    cause = said.exc_type(said)
    kind = OperationalError if isinstance(cause, exceptions.OperationalError) else DatabaseError
    error = kind(*cause.args)
    error.__cause__ = cause
    assert is_transient(error) is transient
    assert lacks_right(error) is (code == 1031)


@pytest.mark.parametrize(
    ("kind", "sqlstate", "words", "transient", "right"),
    [
        (
            "OperationalError",
            "HYT00",
            "[Microsoft][ODBC Driver 18 for SQL Server]Login timeout expired (0)",
            True,
            False,
        ),
        (
            "OperationalError",
            "08S01",
            "[FreeTDS][SQL Server]Unable to connect: Adaptive Server is unavailable",
            True,
            False,
        ),
        (
            "InterfaceError",
            "28000",
            "[Microsoft]Login failed for user 'shop'. (18456) (SQLDriverConnect)",
            False,
            False,
        ),
        ("InterfaceError", "IM002", "[unixODBC][Driver Manager]Data source name not found", False, False),
        ("Error", "01000", "[unixODBC][Driver Manager]Can't open lib 'nosuch' : file not found (0)", False, False),
        (
            "ProgrammingError",
            "42000",
            "[SQL Server]The SELECT permission was denied on the object 't' (229)",
            False,
            True,
        ),
        ("ProgrammingError", "42000", "[SQL Server]The EXECUTE ... (229) (SQLExecDirectW)", False, True),
        (
            "ProgrammingError",
            "42000",
            "[SQL Server]Incorrect syntax near 'char(300)'. (102) (SQLExecDirectW)",
            False,
            False,
        ),
    ],
)
def test_odbc_puts_the_code_first(kind, sqlstate, words, transient, right):
    from django import db

    from django_operator_tasks.db.failures import is_transient, lacks_right, sqlstate_of

    error = getattr(db, kind)(sqlstate, "[%s] %s" % (sqlstate, words))
    assert (is_transient(error), lacks_right(error)) == (transient, right)
    assert sqlstate_of(error) == sqlstate
    assert sqlstate_of(ValueError("WRONG", "x")) == sqlstate_of(ValueError("42000", "x")) == ""


@pytest.mark.parametrize(
    ("kind", "sqlstate", "judged"),
    [
        ("ProgrammingError", "42P01", "is_undefined"),
        ("ProgrammingError", "42804", "is_of_another_type"),
        ("ProgrammingError", "42883", "is_of_another_type"),
        ("ProgrammingError", "42601", None),
        ("IntegrityError", "23502", "is_refused_row"),
        ("DataError", "22001", "is_refused_row"),
    ],
)
def test_what_another_schema_may_be_the_reason_of(kind, sqlstate, judged):
    from django import db

    from django_operator_tasks.db import failures

    error = getattr(db, kind)("in any language")
    error.__cause__ = type("Failed", (Exception,), {"sqlstate": sqlstate})("in any language")
    assert failures.is_undefined(error, "postgresql") is (judged == "is_undefined")
    assert failures.is_of_another_type(error) is (judged == "is_of_another_type")
    assert failures.is_refused_row(error) is (judged == "is_refused_row")


@pytest.mark.parametrize(
    ("sqlstate", "transient"),
    [
        ("57P03", True),
        ("57P01", True),
        ("53300", True),
        ("08006", True),
        ("28P01", False),
        ("28000", False),
        ("3D000", False),
        ("42501", False),
    ],
)
def test_a_code_outranks_the_words(sqlstate, transient):
    from django.db import OperationalError

    from django_operator_tasks.db.failures import is_transient

    cause = type("Failed", (Exception,), {"sqlstate": sqlstate})("in any language; it does not exist")
    error = OperationalError("in any language; it does not exist")
    error.__cause__ = cause
    assert is_transient(error) is transient


@pytest.mark.parametrize("rule", ["by database", "by model"])
def test_a_database_that_the_routers_keep_migrations_from_is_migrated(site, databases, rule):
    site.settings["DATABASES"]["other"] = databases("postgresql", "awaited_other")
    condition = "db == 'default'" if rule == "by database" else "db == 'default' or model_name is None and None"
    site.add_application(
        "routing",
        routers="class OnlyDefault:\n    def allow_migrate(self, db, app_label, model_name=None, **hints):\n        return %s\n"
        % condition,
    )
    site.settings["DATABASE_ROUTERS"] = ["routing.routers.OnlyDefault"]
    assert site.manage("lockedmigrate", "--noinput")[0] == 0
    code, output = site.manage("wait4db", "-s", "0.1", "-t", "20", "-d", "default", "-d", "other")
    assert code == 0, output
    code, output = site.manage("probe", "--startup")
    assert code == 0, output


def test_a_database_for_some_models_alone_has_to_be_migrated(site, databases):
    site.settings["DATABASES"]["other"] = databases("postgresql", "awaited_other")
    site.add_application(
        "routing",
        routers="class Split:\n    def allow_migrate(self, db, app_label, model_name=None, **hints):\n"
        "        return db == 'other' if model_name == 'run' else db == 'default'\n",
    )
    site.settings["DATABASE_ROUTERS"] = ["routing.routers.Split"]
    code, output = site.manage("wait4db", "-s", "0.1", "-t", "2", "-d", "other")
    assert code == 1 and "stock.0001_initial" in output, output


def test_a_right_that_is_missing_is_called_so(site, tmp_path):
    assert site.manage("lockedmigrate", "--noinput")[0] == 0
    owner = role(site)
    log = tmp_path / "log"
    log.touch()
    env = {"DJK8S_TERMINATION_LOG": str(log)}
    code, output = site.manage("wait4db", "-s", "0.1", "-t", "2", **env)
    line = json.loads(log.read_text())
    assert (code, line["reason"]) == (1, "InsufficientPrivilege") and "django_migrations" in line["message"], output
    with site.start("manage.py", "wait4db", "-s", "0.1", "-t", "3600") as process:
        output_until(process, "lacks a right")
        sql(owner, "GRANT SELECT ON django_migrations TO limited")
        assert finish(process)[0] == 0


HIDDEN = {
    "a schema that may not be used": ("postgresql", ["REVOKE USAGE ON SCHEMA public FROM PUBLIC"]),
    "a schema of its own": (
        "postgresql",
        [
            "CREATE SCHEMA hidden",
            "ALTER TABLE django_migrations SET SCHEMA hidden",
            "ALTER ROLE limited SET search_path = hidden",
        ],
    ),
    "a table that may not be read": ("mysql", ["GRANT SELECT ON awaited.stock_run TO limited"]),
}


@pytest.mark.parametrize("what", HIDDEN)
def test_a_table_that_the_server_hides_is_there(shop, databases, tmp_path, what):
    """What one has no right to is in no list of tables."""
    kind, hide = HIDDEN[what]
    shop.settings["DATABASES"] = {"default": databases(kind, "awaited")}
    assert shop.manage("lockedmigrate", "--noinput")[0] == 0
    owner = role(shop) if kind == "postgresql" else mysql_role(shop)
    sql(owner, *hide)
    log = tmp_path / "log"
    log.touch()
    code, output = shop.manage("wait4db", "-s", "0.1", "-t", "2", DJK8S_TERMINATION_LOG=str(log))
    assert (code, json.loads(log.read_text())["reason"]) == (1, "InsufficientPrivilege"), output


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_look_does_not_break_the_transaction_that_it_is_in(shop, databases, kind):
    shop.settings["DATABASES"] = {"default": databases(kind, "awaited")}
    code = """
from django.db import connection, transaction
from django_operator_tasks.db.migration_state import applied_keys
with transaction.atomic():
    print(applied_keys(connection))
    with connection.cursor() as cursor:
        cursor.execute("SELECT 7")
        print(cursor.fetchone()[0])
"""
    assert shop.script(code).split() == ["[]", "7"]


HIDDEN_SCHEMA = ["CREATE SCHEMA theirs", "CREATE TABLE theirs.django_migrations (id int, app text, name text)"]


def test_a_hidden_schema_counts_only_where_no_other_comes_before(site):
    """PostgreSQL takes the first one that the user may use."""
    owner = role(site)
    sql(owner, *HIDDEN_SCHEMA, "GRANT ALL ON SCHEMA public TO limited")
    look = """
from django.db import connection, transaction
from django_operator_tasks.db.migration_state import applied_keys
with transaction.atomic():
    try:
        print(applied_keys(connection))
    except Exception as error:
        print(type(error).__name__)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 7")
        print(cursor.fetchone()[0])
"""
    sql(owner, "ALTER ROLE limited SET search_path = public, theirs")
    assert site.script(look).split() == ["[]", "7"]
    sql(owner, "ALTER ROLE limited SET search_path = theirs, public")
    assert site.script(look).split() == ["ProgrammingError", "7"]


def test_a_user_without_rights_to_the_users_is_told(site, tmp_path):
    assert site.manage("lockedmigrate", "--noinput")[0] == 0
    owner = role(site)
    sql(owner, "GRANT SELECT ON django_migrations TO limited")
    log = tmp_path / "log"
    log.touch()
    env = {"DJK8S_TERMINATION_LOG": str(log), "DJANGO_ADMIN_USERNAME": "ann", "DJANGO_ADMIN_PASSWORD": "long-enough-1"}
    code, output = site.manage("ensureadmin", **env)
    assert (code, json.loads(log.read_text())["reason"]) == (1, "InsufficientPrivilege"), output


def many_migrations(site, number):
    home = {"models": ""}
    for n in range(number):
        before = "[('many', 'm%05d')]" % (n - 1) if n else "[]"
        home["migrations__m%05d" % n] = (
            "from django.db import migrations\nclass Migration(migrations.Migration):\n    dependencies = %s\n" % before
        )
    site.add_application("many", **home)


def test_a_look_costs_a_query_and_not_the_graph(site):
    """Of a thousand migrations; the graph is made once, also while they are applied."""
    many_migrations(site, 1000)
    assert site.manage("lockedmigrate", "--fake", "--noinput", "--verbosity=0")[0] == 0
    code = """
from unittest import mock
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django_operator_tasks.db.pending import unapplied_migrations
made = []
build = MigrationLoader.build_graph
with mock.patch.object(MigrationLoader, "build_graph", lambda self: (made.append(1), build(self))):
    print(len(unapplied_migrations(connection)))
    for name in ("m00999", "m00998"):
        connection.cursor().execute("DELETE FROM django_migrations WHERE name = %s", [name])
        print(unapplied_migrations(connection)[0], len(unapplied_migrations(connection)))
print("made", len(made))
"""
    assert site.script(code).split() == ["0", "many.m00999", "1", "many.m00998", "2", "made", "1"]


def test_time_that_python_takes_is_not_the_servers_silence(site):
    """The graph of ten thousand migrations takes seconds; nobody waits for the server then."""
    code = """
import time
from threading import Event
from django.db import connections
from django_operator_tasks.management.commands import wait4db
wait4db.unapplied_migrations = lambda connection: time.sleep(1.5) or []
wait4db.SILENT_SECONDS = 1.0
monitor = wait4db.DatabaseMonitor(connections["default"], 0.1, 0.1, False, Event())
monitor.start()
deadline = time.monotonic() + 60
states = set()
while not monitor.migrated and time.monotonic() < deadline:
    states.add(monitor.current_state().message)
    time.sleep(0.02)
monitor.stop()
print(any("stopped to answer" in each for each in states), monitor.migrated)
"""
    assert site.script(code).split() == ["False", "True"]
