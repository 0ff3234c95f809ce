"""What a look at the migrations costs that a database lacks: of ten thousand migrations, and of a thousand tenants."""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python/tests"))

from conftest import PROJECTS, SHOP, Site, on_server, sql  # noqa: E402
from servers import postgres  # noqa: E402

MIGRATIONS, TENANTS = 10_000, 1_000
LOOKS = """
import time
from django.db import connection
from django_operator_tasks.db.pending import unapplied_migrations
for _ in range(4):
    started = time.perf_counter()
    missing = unapplied_migrations(connection)
    print(round(1000 * (time.perf_counter() - started)), len(missing))
"""


def tell(what, said):
    first, *later = [line.split() for line in said.strip().splitlines()]
    print("%s: the first look %s ms, each later one %s ms" % (what, first[0], sorted(int(each[0]) for each in later)[1]))


def many_migrations(site):
    head = "from django.db import migrations\nclass Migration(migrations.Migration):\n    dependencies = %s\n"
    files = {
        "migrations__m%05d" % n: head % ([("many", "m%05d" % (n - 1))] if n else []) for n in range(MIGRATIONS)
    }
    site.add_application("many", models="", **files)
    database = site.settings["DATABASES"]["default"]
    assert site.manage("lockedmigrate", "stock", "--verbosity=0")[0] == 0
    rows = ", ".join("('many', 'm%05d', now())" % n for n in range(MIGRATIONS - 1))
    sql(database, "INSERT INTO django_migrations (app, name, applied) VALUES " + rows)
    tell("%d migrations" % MIGRATIONS, site.script(LOOKS))


def many_tenants(site):
    database = site.settings["DATABASES"]["default"]
    assert site.manage("lockedmigrate", "--shared", "--noinput")[0] == 0
    names = ["t%04d" % n for n in range(TENANTS)]
    sql(
        database,
        "INSERT INTO customers_client (schema_name, name) VALUES " + ", ".join("('%s', '%s')" % (n, n) for n in names),
        *("CREATE SCHEMA %s" % name for name in names),
        *("CREATE TABLE %s.django_migrations AS TABLE public.django_migrations" % name for name in names),
    )
    tell("%d tenants" % TENANTS, site.script(LOOKS, DJANGO_SETTINGS_MODULE="tenants.settings"))


def main():
    servers = postgres.__wrapped__()
    server = next(servers)
    for number, (project, measure) in enumerate([(SHOP, many_migrations), (PROJECTS / "tenants", many_tenants)]):
        with tempfile.TemporaryDirectory() as home:
            site = Site(project, Path(home))
            database = on_server("django.db.backends.postgresql", server.port, "looks%d" % number)
            if measure is many_tenants:
                database["ENGINE"] = "django_tenants.postgresql_backend"
            sql(database, "CREATE DATABASE looks%d" % number, database="postgres")
            site.settings["DATABASES"] = {"default": database}
            measure(site)
    servers.close()


if __name__ == "__main__":
    main()
