"""From the start of the process to its first SQL statement: plain `manage.py migrate` beside the helper's zip,
as PostgreSQL's own log saw them."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python/tests"))

from servers import PASSWORD, postgres  # noqa: E402

RUNS = 25
PROJECT = ROOT / "tests/project"
SOURCE = ROOT / "python/src"


def zipped(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(SOURCE.rglob("*.py")):
            archive.write(file, file.relative_to(SOURCE))


def first_statement(log, name):
    """When the first statement of a session came in, in seconds."""
    for line in log.read_text(errors="replace").splitlines():
        parts = line.split("|", 2)
        if parts[1:2] == [name] and parts[2].startswith("LOG:  statement:"):
            return float(parts[0])
    raise AssertionError("no statement of " + name)


def main():
    ways = {"migrate": ["manage.py", "migrate"]}
    with tempfile.TemporaryDirectory() as home:
        served = ["--container-command=%s" % word for word in ("gunicorn", "--bind", "0.0.0.0:8000", "myapp.wsgi")]
        ways["zip"] = [home + "/tasks.pyz", "--discover", *served, "--", "lockedmigrate"]
        ways["told"] = [home + "/tasks.pyz", "--script", "manage.py", "--", "lockedmigrate"]
        zipped(home + "/tasks.pyz")
        servers = postgres.__wrapped__()
        server = next(servers)
        log = Path(server.log)
        where = {"host": "127.0.0.1", "port": server.port, "user": "tests", "password": PASSWORD}
        import psycopg

        with psycopg.connect(dbname="postgres", autocommit=True, **where) as admin:
            admin.execute("CREATE DATABASE myapp")
            for setting, value in (("log_statement", "all"), ("log_line_prefix", "%n|%a|")):
                admin.execute("ALTER SYSTEM SET %s = '%s'" % (setting, value))
            admin.execute("SELECT pg_reload_conf()")
        env = {
            "PATH": os.environ["PATH"], "DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(server.port), "DATABASE_USER": "tests",
            "DATABASE_PASSWORD": PASSWORD, "DJANGO_SETTINGS_MODULE": "myapp.settings",
        }
        took = {name: [] for name in ways}
        for number in range(RUNS + 1):
            for name, argv in ways.items():
                application = "%s-%d" % (name, number)
                started = time.time()
                subprocess.run(
                    [sys.executable, *argv, "--noinput"], cwd=PROJECT, env={**env, "PGAPPNAME": application}, check=True,
                    stdout=subprocess.DEVNULL,
                )
                if number:  # the first one migrates, and warms the caches
                    took[name].append(first_statement(log, application) - started)
        servers.close()
    for name, values in took.items():
        values.sort()
        print("start to first SQL statement, %-8s p50 %4.0f ms, min %4.0f ms, max %4.0f ms" % (
            name + ":", 1000 * statistics.median(values), 1000 * values[0], 1000 * values[-1]
        ))
    print("more than migrate: p50 %.0f ms" % (1000 * (statistics.median(took["zip"]) - statistics.median(took["migrate"]))))


if __name__ == "__main__":
    main()
