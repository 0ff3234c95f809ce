"""The projects of the tests, each command in a process of its own, and the servers that they use."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from layouts import Image

pytest_plugins = ["servers"]
# On the oldest Python, what it needs is not to be had.
collect_ignore = [] if importlib.util.find_spec("hypothesis") else ["test_secrets.py"]
ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "python/src"
PROJECT = ROOT / "tests/project"
# A file that comes or goes among the sources would have the operator built anew.
COMPILED = {"PYTHONPYCACHEPREFIX": str(ROOT / ".venv/compiled")}
sys.pycache_prefix = COMPILED["PYTHONPYCACHEPREFIX"]
PROJECTS = Path(__file__).resolve().parent / "projects"
SHOP = PROJECTS / "shop"
LIMIT = 300  # seconds; it only ends tests that would hang


@pytest.fixture(scope="session")
def pyz(tmp_path_factory):
    """The package as a Job gets it."""
    path = tmp_path_factory.mktemp("zip") / "tasks.pyz"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(SOURCE.rglob("*.py")):
            archive.write(file, file.relative_to(SOURCE))
    return path


@pytest.fixture
def image(tmp_path, pyz):
    """An image that a test lays out."""
    return Image(tmp_path, pyz)


@pytest.fixture
def run(pyz, tmp_path):
    """Runs the helper on a project that has never heard of it; (exit code, output)."""

    def run(*argv, cwd=PROJECT, **env):
        environment = {
            "PATH": os.environ["PATH"],
            **COMPILED,
            "DATABASE_FILE": str(tmp_path / "db.sqlite3"),
            "STATIC_ROOT": str(tmp_path / "static"),
            "DJANGO_SETTINGS_MODULE": "myapp.settings",
            **{k: v for k, v in env.items() if v is not None},
        }
        done = subprocess.run(
            [sys.executable, str(pyz), *argv], cwd=cwd, env=environment, capture_output=True, text=True, timeout=LIMIT
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def manage(run):
    return lambda *argv, **env: run("--script", "manage.py", "--", *argv, **env)


class Process(subprocess.Popen):
    """One that a test that fails does not wait for."""

    def __exit__(self, *error):
        self.kill()
        super().__exit__(*error)


class Site:
    """A project that has the package in INSTALLED_APPS."""

    def __init__(self, path, tmp_path):
        self.path, self.tmp_path = path, tmp_path
        self.settings = {}
        self.env = {}

    def environment(self, **env):
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), **COMPILED}
        data = {"DATABASE_FILE": str(self.tmp_path / "db.sqlite3"), "SETTINGS": json.dumps(self.settings)}
        return {**path, **data, **self.env, **env}

    def start(self, *argv, **env):
        return Process(
            [sys.executable, *argv],
            cwd=self.path,
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Who runs the tests in the background may have it ignored, for all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def python(self, *argv, timeout=LIMIT, **env):
        """Exit code and output."""
        process = self.start(*argv, **env)
        try:
            return finish(process, timeout)
        finally:
            process.kill()

    def manage(self, *argv, **env):
        return self.python("manage.py", *argv, **env)

    def add_application(self, name, **files):
        """Another application for this project, in front of the others."""
        home = self.tmp_path / "more" / name
        for path, text in {"__init__": "", **files}.items():
            file = home / (path.replace("__", "/") + ".py" if path != "__init__" else "__init__.py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            for folder in file.relative_to(home).parents:
                (home / folder / "__init__.py").touch()
        self.env["PYTHONPATH"] = "%s:%s" % (home.parent, SOURCE)
        apps = ["django.contrib.auth", "django.contrib.contenttypes", "django_operator_tasks", "stock"]
        self.settings["INSTALLED_APPS"] = [name, *apps]

    def script(self, code, **env):
        """What a script said, with Django set up."""
        setup = "import os; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings'); import django; django.setup()\n"
        code, output = self.python("-c", setup + code, **env)
        assert code == 0, output
        return output


def finish(process, timeout=LIMIT):
    output, _ = process.communicate(timeout=timeout)
    return process.returncode, output


def output_until(process, text):
    """What it says up to a line that has this text."""
    lines = []
    limit = threading.Timer(LIMIT, process.kill)
    limit.start()
    try:
        while text not in "".join(lines[-1:]):
            lines.append(process.stdout.readline())
            assert lines[-1], "ended without %r: %s" % (text, "".join(lines))
    finally:
        limit.cancel()
    return "".join(lines)


def eventually(look, what, timeout=LIMIT):
    """Waits for a condition."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, "not seen: " + what
        time.sleep(0.05)


@pytest.fixture
def shop(tmp_path):
    return Site(SHOP, tmp_path)


@pytest.fixture
def databases(request):
    """New, empty databases by kind and name, as Django's settings."""
    return lambda kind, name: DATABASES[kind](request, name)


def sqlite(request, name):
    path = request.getfixturevalue("tmp_path") / (name + ".sqlite3")
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": {"timeout": 60}}


def on_server(engine, port, name):
    from servers import PASSWORD

    return {
        "ENGINE": engine,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "NAME": name,
        "USER": "tests",
        "PASSWORD": PASSWORD,
    }


def postgresql(request, name):
    server = request.getfixturevalue("postgres")
    found = on_server("django.db.backends.postgresql", server.port, name)
    sql(found, "DROP DATABASE IF EXISTS %s WITH (FORCE)" % name, "CREATE DATABASE %s" % name, database="postgres")
    return found


def mysql(request, name):
    server = request.getfixturevalue("mariadb")
    found = on_server("django.db.backends.mysql", server.port, name)
    sql(found, "DROP DATABASE IF EXISTS %s" % name, "CREATE DATABASE %s CHARACTER SET utf8mb4" % name, database="mysql")
    return found


DATABASES = {"sqlite": sqlite, "postgresql": postgresql, "mysql": mysql}


def connect(settings, database=None):
    """A plain connection, without Django."""
    name = database or settings["NAME"]
    if settings["ENGINE"].endswith("sqlite3"):
        import sqlite3

        return sqlite3.connect(name, timeout=60)
    where = {
        "host": settings["HOST"],
        "port": int(settings["PORT"]),
        "user": settings["USER"],
        "password": settings["PASSWORD"],
    }
    if settings["ENGINE"].endswith("mysql"):
        import MySQLdb

        return MySQLdb.connect(database=name, **where)
    import psycopg

    return psycopg.connect(dbname=name, autocommit=True, **where)


def sql(settings, *statements, database=None):
    """The rows of the last statement."""
    connection = connect(settings, database)
    try:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
        return [tuple(row) for row in rows]
    finally:
        connection.close()
