"""Records what drivers and libraries say: provokes errors, with secrets and rows of every shape, and writes each text
with what it must not tell into texts.jsonl.

    python tests/corpus/record.py POSTGRES_PORT MARIADB_PORT [PROVIDER...] >tests/corpus/texts.jsonl

Needs the servers (user and database `tests`), and the drivers and libraries below; whatever of them is missing is left
out, and said. Not run by the tests: what they read is what real programs said on the day of the recording.
"""

import importlib
import importlib.metadata
import json
import sys
from pathlib import Path
from urllib.parse import quote

PG, MY = (int(port) for port in sys.argv[1:3])
PASSWORD = "pw-of-the-tests"
MARIADB = {
    "host": "127.0.0.1",
    "port": MY,
    "user": "tests",
    "password": PASSWORD,
    "database": "tests",
    "charset": "utf8mb4",
}
SECRETS = {
    "plain": "hunter2-and-more",
    "signs": "p@ss/w:rd#1?&=%41",
    "quotes": 'it\'s "quoted" \\ ümläut',
    "key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n-----END PRIVATE KEY-----\n",
}
ROWS = {
    "address": "bob@example.com",
    "quotes": 'O\'Brien "Bob" (078-05-1120)',
    "lines": "Bob lives\nin Bielefeld, ü",
    "number": "078051120",
}
seen = set()


def version(package):
    try:
        return "%s %s" % (package, importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return package


def texts(error):
    """How an exception gets into a message."""
    yield str(error)
    yield repr(error)


def record(source, what, act, rows=(), secrets=()):
    """Writes down what an act says if it fails; only what tells a row or a secret is of interest."""
    try:
        act()
    except Exception as error:
        for text in texts(error):
            if (source, text) not in seen:
                seen.add((source, text))
                line = {"source": source, "what": what, "text": text, "rows": list(rows), "secrets": list(secrets)}
                print(json.dumps(line, ensure_ascii=False))
    else:
        print("%s: %s does not fail" % (source, what), file=sys.stderr)


def literal(value):
    return "'" + value.replace("'", "''") + "'"


POSTGRES = {
    "a duplicate": ("CREATE TEMP TABLE t (name text UNIQUE); INSERT INTO t VALUES ({v}); INSERT INTO t VALUES ({v})"),
    "a duplicate of two": "CREATE TEMP TABLE t (a int, name text, UNIQUE (a, name)); INSERT INTO t VALUES (1, {v}), (1, {v})",
    "a duplicate of an expression": "CREATE TEMP TABLE t (name text); CREATE UNIQUE INDEX ON t (lower(name)); INSERT INTO t VALUES (lower({v})), (lower({v}))",
    "a unique index": "CREATE TEMP TABLE t (name text); INSERT INTO t VALUES ({v}), ({v}); CREATE UNIQUE INDEX ON t (name)",
    "not null": "CREATE TEMP TABLE t (name text, b text NOT NULL); INSERT INTO t VALUES ({v}, NULL)",
    "a check": "CREATE TEMP TABLE t (name text CHECK (length(name) < 1)); INSERT INTO t VALUES ({v})",
    "a foreign key": "CREATE TEMP TABLE t (name text PRIMARY KEY); CREATE TEMP TABLE u (name text REFERENCES t); INSERT INTO u VALUES ({v})",
    "a row in use": "CREATE TEMP TABLE t (name text PRIMARY KEY); CREATE TEMP TABLE u (name text REFERENCES t); INSERT INTO t VALUES ({v}); INSERT INTO u VALUES ({v}); DELETE FROM t",
    "an exclusion": "CREATE TEMP TABLE t (name text, EXCLUDE USING btree (name WITH =)); INSERT INTO t VALUES ({v}), ({v})",
    "no partition": "CREATE TEMP TABLE t (name text) PARTITION BY LIST (name); INSERT INTO t VALUES ({v})",
    "a number": "SELECT {v}::uuid::text",
    "an integer": "SELECT ({v} || 'x')::int",
    "a float": "SELECT ({v} || 'x')::float8",
    "a decimal": "SELECT ({v} || 'x')::numeric",
    "a date": "SELECT {v}::date",
    "a time": "SELECT ({v} || 'x')::timestamptz",
    "an interval": "SELECT ({v} || 'x')::interval",
    "a truth": "SELECT {v}::bool",
    "json": "SELECT ('{{\"a\": ' || {v})::json",
    "jsonb": "SELECT ('[' || {v})::jsonb",
    "an address": "SELECT ({v} || 'x')::inet",
    "an array": "SELECT ('{{' || {v})::int[]",
    "an enumeration": "CREATE TYPE pg_temp.mood AS ENUM ('ok'); SELECT {v}::pg_temp.mood",
    "bytes": "SELECT ('\\xzz' || {v})::bytea",
    "a pattern": "SELECT 'a' ~ ('(' || {v})",
    "a search": "SELECT to_tsquery('& ' || {v})",
    "a point": "SELECT {v}::point",
    "a cast of a column": "CREATE TEMP TABLE t (name text); INSERT INTO t VALUES ({v}); ALTER TABLE t ALTER name TYPE date USING name::date",
    "a length": "CREATE TEMP TABLE t (name varchar(3)); INSERT INTO t VALUES ({v})",
    "a function": "CREATE FUNCTION pg_temp.f(v text) RETURNS int AS $$ BEGIN RETURN (v || 'x')::int; END $$ LANGUAGE plpgsql; SELECT pg_temp.f({v})",
    "a query in a function": "CREATE FUNCTION pg_temp.f(v text) RETURNS void AS $$ BEGIN EXECUTE 'SELECT 1 WHERE nothing = ' || quote_literal(v); END $$ LANGUAGE plpgsql; SELECT pg_temp.f({v})",
    "a statement": "SELECT nothing FROM pg_class WHERE relname = {v}",
    "a statement's end": "SELECT 1 WHERE relname = {v} AND AND",
    "a range": "SELECT {n}::bigint * 100000000000 * 100000000000",
    "a small range": "SELECT ({v} || '99999999999')::int2",
}


def postgres(
    source, connect, languages=("C", "de_DE.UTF-8", "fr_FR.UTF-8", "es_ES.UTF-8", "ru_RU.UTF-8", "ja_JP.UTF-8")
):
    for language in languages:
        for what, query in POSTGRES.items():
            for name, value in ROWS.items():
                if name not in ("quotes", "lines") and what not in ("a duplicate", "an integer", "a range"):
                    continue
                if language != "C" and name != "quotes":
                    continue
                if ("{n}" in query) != (name == "number") and "{n}" in query:
                    continue

                def act(query=query, value=value, language=language):
                    connection = connect()
                    try:
                        run = connection(["SET lc_messages = '%s'" % language])
                        run(query.format(v=literal(value), n=value))
                    finally:
                        connection.close()

                record("%s, PostgreSQL 15, %s" % (source, language), what, act, rows=[value])


class Session:
    """A connection of a driver by DB-API, that carries out several statements."""

    def __init__(self, connection):
        self.connection = connection

    def __call__(self, first):
        cursor = self.connection.cursor()
        for each in first:
            cursor.execute(each)
        return cursor.execute

    def close(self):
        self.connection.close()


def psycopg3():
    import psycopg

    where = {
        "host": "127.0.0.1",
        "port": PG,
        "user": "tests",
        "password": PASSWORD,
        "dbname": "postgres",
        "autocommit": True,
    }
    postgres(version("psycopg"), lambda: Session(psycopg.connect(**where, client_encoding="utf8")))
    for name, secret in SECRETS.items():
        urls = {
            "a URL": "postgres://shop:%s@127.0.0.1:1/shop" % secret,
            "a URL, encoded": "postgres://shop:%s@127.0.0.1:1/shop" % quote(secret, safe=""),
            "a list of keys": "host=127.0.0.1 port=1 user=shop password=%s" % secret,
            "a list of keys, quoted": "host=127.0.0.1 port=1 user=shop password='%s' nonsense" % secret,
        }
        for what, url in urls.items():
            record(version("psycopg"), what + ", " + name, lambda url=url: psycopg.connect(url), secrets=[secret])


def psycopg2():
    import psycopg2

    def connect():
        connection = psycopg2.connect(host="127.0.0.1", port=PG, user="tests", password=PASSWORD, dbname="postgres")
        connection.autocommit = True
        return Session(connection)

    postgres(version("psycopg2-binary"), connect, languages=["C"])
    for name, secret in SECRETS.items():
        for url in ("postgres://shop:%s@127.0.0.1:1/shop" % secret, "host=127.0.0.1 port=1 password=%s" % secret):
            record(
                version("psycopg2-binary"), "a URL, " + name, lambda url=url: psycopg2.connect(url), secrets=[secret]
            )


MYSQL = {
    "a duplicate": "CREATE TEMPORARY TABLE t (name varchar(100) UNIQUE); INSERT INTO t VALUES ({v}); INSERT INTO t VALUES ({v})",
    "a duplicate of two": "CREATE TEMPORARY TABLE t (a int, name varchar(100), UNIQUE (a, name)); INSERT INTO t VALUES (1, {v}), (1, {v})",
    "a unique index": "CREATE TEMPORARY TABLE t (name varchar(100)); INSERT INTO t VALUES ({v}), ({v}); CREATE UNIQUE INDEX i ON t (name)",
    "an integer": "CREATE TEMPORARY TABLE t (name int); INSERT INTO t VALUES (concat('x', {v}))",
    "a date": "CREATE TEMPORARY TABLE t (name date); INSERT INTO t VALUES (concat('x', {v}))",
    "a time": "CREATE TEMPORARY TABLE t (name datetime); INSERT INTO t VALUES (concat('x', {v}))",
    "a decimal": "CREATE TEMPORARY TABLE t (name decimal(5, 2)); INSERT INTO t VALUES (concat('x', {v}))",
    "an enumeration": "CREATE TEMPORARY TABLE t (name enum('a')); INSERT INTO t VALUES ({v})",
    "a length": "CREATE TEMPORARY TABLE t (name varchar(3)); INSERT INTO t VALUES ({v})",
    "a change of a column": "CREATE TEMPORARY TABLE t (name varchar(100)); INSERT INTO t VALUES (concat('x', {v})); ALTER TABLE t MODIFY name int",
    "a change to a date": "CREATE TEMPORARY TABLE t (name varchar(100)); INSERT INTO t VALUES (concat('x', {v})); ALTER TABLE t MODIFY name date",
    "an update by a number": "CREATE TEMPORARY TABLE t (name varchar(100)); INSERT INTO t VALUES ({v}); UPDATE t SET name = 'x' WHERE name = 7",
    "a check": "CREATE TEMPORARY TABLE t (name varchar(100) CHECK (length(name) < 1)); INSERT INTO t VALUES ({v})",
    "a statement": "SELECT 1 WHERE a = {v} AND AND",
    "a statement of one word": "SELECT {v} {v} {v}",
    "a range": "CREATE TEMPORARY TABLE t (name bigint unsigned); INSERT INTO t VALUES ({n}); SELECT name - {n} - 1 FROM t",
    "no partition": "CREATE TABLE p (name int) PARTITION BY RANGE (name) (PARTITION a VALUES LESS THAN (1)); INSERT INTO p VALUES ({n})",
    "a date of a function": "SET sql_mode = 'STRICT_ALL_TABLES'; CREATE TEMPORARY TABLE t AS SELECT str_to_date({v}, '%%Y') AS d",
    "a signal": "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'",
}
LANGUAGES = ("en_US", "de_DE", "fr_FR", "es_ES", "ru_RU", "ja_JP", "pt_BR", "it_IT", "pl_PL", "nl_NL", "uk_UA", "zh_CN")


def mysql(source, connect, languages=LANGUAGES):
    for language in languages:
        for what, query in MYSQL.items():
            for name, value in ROWS.items():
                if name not in ("quotes", "lines", "number") and what not in ("a duplicate", "an integer"):
                    continue
                if language != "en_US" and name != "quotes" and "{n}" not in query:
                    continue
                if "{n}" in query and name != "number":
                    continue

                def act(query=query, value=value, language=language):
                    connection = connect()
                    cursor = connection.cursor()
                    try:
                        for each in (
                            "SET lc_messages = '%s'" % language,
                            "SET sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'",
                            "DROP TABLE IF EXISTS p",
                        ):
                            cursor.execute(each)
                        for each in query.split("; "):
                            cursor.execute(each.format(v=literal(value), n=value).replace("%%", "%"))
                    finally:
                        connection.close()

                record("%s, MariaDB 10.11, %s" % (source, language), what, act, rows=[value])


def mysqlclient():
    import MySQLdb

    mysql(version("mysqlclient"), lambda: MySQLdb.connect(**MARIADB))
    for name, secret in SECRETS.items():
        wrong = {**MARIADB, "password": secret}
        record(
            version("mysqlclient"),
            "a wrong password, " + name,
            lambda wrong=wrong: MySQLdb.connect(**wrong),
            secrets=[secret],
        )


def pymysql():
    import pymysql

    mysql(version("PyMySQL"), lambda: pymysql.connect(**MARIADB), languages=["en_US"])


def mysql_connector():
    from mysql import connector

    where = {**MARIADB, "collation": "utf8mb4_general_ci", "use_pure": True}
    mysql(version("mysql-connector-python"), lambda: connector.connect(**where), languages=["en_US"])


def sqlite():
    import sqlite3

    source = "sqlite3 " + sqlite3.sqlite_version
    for value in ROWS.values():
        for what, query in {
            "a duplicate": "CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES ({v}); INSERT INTO t VALUES ({v})",
            "a check": "CREATE TABLE t (a CHECK (a < 1)); INSERT INTO t VALUES ({v})",
            "a statement's end": "SELECT " + "{v}" + " 'open",
            "a word": "SELECT 1 AND AND {v}",
            "json": "SELECT json({v})",
        }.items():
            record(
                source,
                what,
                lambda q=query, v=value: sqlite3.connect(":memory:").executescript(q.format(v=literal(v))),
                rows=[value],
            )


def django():
    import django
    from django.conf import settings
    from django.core import exceptions
    from django.core.management import call_command

    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        USE_TZ=True,
    )
    django.setup()
    from django.db import models

    call_command("migrate", verbosity=0)
    source = version("Django")
    import tempfile

    for value in ROWS.values():
        for kind in (
            models.IntegerField,
            models.DateField,
            models.DateTimeField,
            models.DecimalField,
            models.UUIDField,
            models.BooleanField,
            models.FloatField,
            models.TimeField,
            models.DurationField,
        ):
            field = kind(max_digits=5, decimal_places=2) if kind is models.DecimalField else kind()
            record(source, kind.__name__, lambda f=field, v=value: f.clean("x" + v, None), rows=[value])
            record(
                source,
                kind.__name__ + ".get_prep_value",
                lambda f=field, v=value: f.get_prep_value("x" + v),
                rows=[value],
            )
        choice = models.CharField(choices=[("a", "a")], max_length=3)
        record(source, "a choice", lambda v=value, c=choice: c.clean(v, None), rows=[value])
        for model, fields in (
            ("auth.user", {"username": "a", "last_login": value}),
            ("auth.user", {"username": "a", "is_staff": value}),
            ("auth.group", {"name": "a", "permissions": [value]}),
        ):
            with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="fixture") as file:
                json.dump([{"model": model, "pk": 1, "fields": fields}], file)
                file.flush()
                record(
                    source,
                    "loaddata of a %s" % model,
                    lambda f=file: call_command("loaddata", f.name, verbosity=0),
                    rows=[value],
                )
    for secret in SECRETS.values():
        record(
            source,
            "settings",
            lambda s=secret: (_ for _ in ()).throw(exceptions.ImproperlyConfigured("bad value %r" % s)),
            secrets=[secret],
        )


def libraries():
    import subprocess
    import urllib.request
    from urllib.parse import urlsplit

    for name, secret in SECRETS.items():
        encoded = quote(secret, safe="")
        for url, form in (
            ("https://shop:%s@127.0.0.1:1/x?token=%s" % (secret.replace("\n", ""), encoded), "raw"),
            ("https://shop:%s@127.0.0.1:1/x?token=%s" % (encoded, encoded), "encoded"),
        ):
            what = "a URL, %s, %s" % (name, form)
            record("urllib", what, lambda u=url: urllib.request.urlopen(u, timeout=1), secrets=[secret])
            record(
                "urllib.parse",
                what + ", its port",
                lambda u=url: urlsplit(u.replace("127.0.0.1:1/", "h:no/")).port,
                secrets=[secret],
            )
            record("subprocess", what, lambda u=url: subprocess.run(["false", u], check=True), secrets=[secret])
            record(
                "subprocess",
                what + ", too late",
                lambda u=url: subprocess.run(["sleep", "5", u], check=True, timeout=0.01),
                secrets=[secret],
            )
            for package in ("requests", "httpx"):
                record(
                    version(package),
                    what,
                    lambda u=url, p=package: importlib.import_module(p).get(u, timeout=1),
                    secrets=[secret],
                )
                record(
                    version(package),
                    what + ", a header",
                    lambda u=url, p=package, s=secret: importlib.import_module(p).get(
                        u, headers={"Authorization": "Bearer " + s}, timeout=1
                    ),
                    secrets=[secret],
                )
            record(version("aiohttp"), what, lambda u=url: aiohttp_get(u), secrets=[secret])
            record(
                version("redis"),
                what,
                lambda u=url: importlib.import_module("redis").from_url(u.replace("https", "redis")).ping(),
                secrets=[secret],
            )
            record(
                version("redis"),
                what + ", its port",
                lambda u=url: (
                    importlib.import_module("redis")
                    .from_url(u.replace("https", "redis").replace("127.0.0.1:1", "h:no"))
                    .ping()
                ),
                secrets=[secret],
            )
            record(version("kombu"), what, lambda u=url: kombu_connect(u.replace("https", "amqp")), secrets=[secret])
            record(
                version("kombu"),
                what + ", redis",
                lambda u=url: kombu_connect(u.replace("https", "redis")),
                secrets=[secret],
            )
            record(
                version("pymongo"),
                what,
                lambda u=url: (
                    importlib.import_module("pymongo")
                    .MongoClient(u.replace("https", "mongodb"), serverSelectionTimeoutMS=10)
                    .admin.command("ping")
                ),
                secrets=[secret],
            )
            record(
                version("dj-database-url"),
                what,
                lambda u=url: importlib.import_module("dj_database_url").parse(u),
                secrets=[secret],
            )
            record(
                version("sentry-sdk"),
                what,
                lambda u=url: importlib.import_module("sentry_sdk.utils").Dsn(u.replace("/x?", "/no?")),
                secrets=[secret],
            )
            record(
                version("boto3"),
                what,
                lambda u=url: (
                    importlib.import_module("boto3")
                    .client("s3", endpoint_url=u, region_name="x", aws_access_key_id="a", aws_secret_access_key="b")
                    .list_buckets()
                ),
                secrets=[secret],
            )
            record(
                version("elasticsearch"),
                what,
                lambda u=url: importlib.import_module("elasticsearch").Elasticsearch(u).info(),
                secrets=[secret],
            )
        record("int", name, lambda s=secret: int(s), secrets=[secret])
        record("float", name, lambda s=secret: float(s), secrets=[secret])
        record("dict", name, lambda s=secret: {}[s], secrets=[secret])
        record("json", name, lambda s=secret: json.loads(s), secrets=[secret])
        record("bytes", name, lambda s=secret: s.encode().decode("ascii") and bytes.fromhex(s), secrets=[secret])
        record("open", name, lambda s=secret: Path(s).read_text(), secrets=[secret])
        record("import", name, lambda s=secret: importlib.import_module(s), secrets=[secret])
        record(
            "a message",
            name,
            lambda s=secret: (_ for _ in ()).throw(RuntimeError("it is %s" % {"password": s})),
            secrets=[secret],
        )
        record(
            "a JSON message",
            name,
            lambda s=secret: (_ for _ in ()).throw(RuntimeError(json.dumps({"a": s}))),
            secrets=[secret],
        )
        record(
            version("PyYAML"),
            name,
            lambda s=secret: importlib.import_module("yaml").safe_load("a: [%s" % s),
            secrets=[secret],
        )
        record(version("cryptography"), name, lambda s=secret: load_key(s), secrets=[secret])
        record(
            version("cryptography"),
            name + ", Fernet",
            lambda s=secret: importlib.import_module("cryptography.fernet").Fernet(s),
            secrets=[secret],
        )
        record(
            version("PyJWT"),
            name,
            lambda s=secret: importlib.import_module("jwt").encode({}, s, algorithm="RS256"),
            secrets=[secret],
        )
        record(version("pydantic-settings"), name, lambda s=secret: pydantic(s), secrets=[secret])
        record(version("django-environ"), name, lambda s=secret: environ_int(s), secrets=[secret])
        record(version("django-environ"), name + ", a URL", lambda s=secret: environ_url(s), secrets=[secret])
        record(version("minio"), name, lambda s=secret: importlib.import_module("minio").Minio(s), secrets=[secret])
        record(
            version("paramiko"),
            name,
            lambda s=secret: importlib.import_module("paramiko").Transport(s),
            secrets=[secret],
        )


def oracle():
    import oracledb

    source = version("oracledb")
    for name, secret in SECRETS.items():
        for dsn in (
            "shop/%s@127.0.0.1:1/x",
            "shop/%s@nosuch_alias",
            "127.0.0.1:1/%s?x",
            "tcps://shop:%s@127.0.0.1:1/x",
            "(DESCRIPTION=(ADDRESS=(HOST=h)(PORT=%s)))",
            "(DESCRIPTION=(SECURITY=(PWD=%s))",
        ):
            record(source, name, lambda d=dsn % secret: oracledb.connect(d, retry_count=0), secrets=[secret])


def sql_server():
    """Needs Microsoft's driver, whose path it takes from mssql-python-odbc, and FreeTDS."""
    import mssql_python
    import mssql_python_odbc
    import pymssql
    import pyodbc

    (microsoft,) = Path(mssql_python_odbc.__file__).parent.glob("libs/linux/debian_ubuntu/x86_64/lib/libmsodbcsql*")
    for name, secret in SECRETS.items():
        for driver in (str(microsoft), "libtdsodbc.so", "nosuch-" + secret):
            for text in (
                "SERVER=127.0.0.1,1;UID=shop;PWD=%s",
                "PWD={%s};Encrypt=%s;",
                "SERVER=127.0.0.1,1;PWD=%s;Port=%s",
            ):
                what = "DRIVER=%s;%s" % (driver, text.replace("%s", secret))
                record(version("pyodbc"), name, lambda w=what: pyodbc.connect(w, timeout=1), secrets=[secret])
        for text in ("SERVER=127.0.0.1,1;UID=shop;PWD=%s;", "PWD={%s;", "Frobs=%s;"):
            record(version("mssql-python"), name, lambda t=text % secret: mssql_python.connect(t), secrets=[secret])
        keywords = {"server": "127.0.0.1", "port": 1, "user": "shop", "password": secret, "login_timeout": 1}
        record(version("pymssql"), name, lambda k=keywords: pymssql.connect(**k), secrets=[secret])


def shortened():
    """What shortens long values."""
    source = version("pydantic-settings")
    for name, secret in SECRETS.items():
        for text in (
            "%s" * 4,
            "postgres://shop:%s@db.internal.example.com:5432/shop?sslmode=require",
            "Bearer %s; more",
        ):
            value = text.replace("%s", secret)
            record(source, name + ", shortened", lambda v=value: pydantic(v), secrets=[secret])


def protected():
    """Django's errors that hold the rows themselves."""
    from django.db.models import ProtectedError, RestrictedError

    for value in ROWS.values():
        row = type("Row", (), {"__repr__": lambda self, value=value: "<Client: %s>" % value})()
        for kind, word in ((ProtectedError, "protected"), (RestrictedError, "restricted")):
            words = "Cannot delete some instances of model 'Team' because they are referenced through %s foreign keys:"
            error = kind(words % word + " 'Client.team'.", {row})
            record(version("Django"), word, lambda e=error: throw(e), [value])


def throw(error):
    raise error


def aiohttp_get(url):
    import asyncio

    import aiohttp

    async def get():
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status

    asyncio.run(get())


def kombu_connect(url):
    from kombu import Connection

    Connection(url).ensure_connection(max_retries=1, interval_start=0)


def load_key(secret):
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    load_pem_private_key(secret.encode(), None)


def pydantic(secret):
    from pydantic import BaseModel

    class Settings(BaseModel):
        key: int

    Settings(key=secret)


def environ_int(secret):
    import os

    import environ

    os.environ["RECORDED"] = secret
    environ.Env()("RECORDED", cast=int)


def environ_url(secret):
    import os

    import environ

    os.environ["RECORDED_URL"] = "nosuch://shop:%s@h/x" % secret
    environ.Env().db("RECORDED_URL")


MORE = (oracle, sql_server, shortened, protected)
for provider in (psycopg3, psycopg2, mysqlclient, pymysql, mysql_connector, sqlite, django, libraries, *MORE):
    if sys.argv[3:] and provider.__name__ not in sys.argv[3:]:
        continue
    try:
        provider()
    except ImportError as error:
        print("%s: %s" % (provider.__name__, error), file=sys.stderr)
