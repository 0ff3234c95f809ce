"""A project whose `migrate` is not Django's own."""

import json

import pytest
from conftest import PROJECTS, Site, finish, output_until, sql


@pytest.fixture
def site(tmp_path, databases):
    made = Site(PROJECTS / "tenants", tmp_path)
    made.settings["DATABASES"] = {"default": databases("postgresql", "tenants")}
    return made


def database(site):
    return site.settings["DATABASES"]["default"]


def migrations(site, schema):
    return [
        name
        for (name,) in sql(database(site), "SELECT app || '.' || name FROM %s.django_migrations ORDER BY id" % schema)
    ]


def test_every_tenant_is_migrated_under_one_lock(site):
    code, output = site.manage("lockedmigrate", "--shared", "--noinput")
    assert code == 0, output
    assert "customers.0001_initial" in migrations(site, "public") and "notes.0001_initial" in migrations(site, "public")
    for name in ("blue", "red"):
        sql(
            database(site),
            "CREATE SCHEMA " + name,
            "INSERT INTO customers_client (schema_name, name) VALUES ('%s', '%s')" % (name, name),
        )
    processes = [site.start("manage.py", "lockedmigrate", "--noinput", "--lock-timeout=60") for _ in range(3)]
    ends = [finish(process) for process in processes]
    assert [code for code, _ in ends] == [0] * 3, ends
    for name in ("blue", "red"):
        assert migrations(site, name).count("notes.0001_initial") == 1
        assert sql(database(site), "SELECT count(*) FROM %s.notes_note" % name) == [(0,)]
    assert sum(output.count("Applying notes.0001_initial") for _, output in ends) == 2, "once a tenant"


def test_what_is_only_recorded_is_told_for_each_tenant(site, tmp_path):
    assert site.manage("lockedmigrate", "--shared", "--noinput")[0] == 0
    sql(
        database(site),
        "CREATE SCHEMA blue",
        "CREATE SCHEMA red",
        "INSERT INTO customers_client (schema_name, name) VALUES ('blue', 'blue'), ('red', 'red')",
    )
    assert site.manage("lockedmigrate", "--tenant", "--schema=blue", "--noinput")[0] == 0
    sql(database(site), "DELETE FROM blue.django_migrations WHERE app = 'notes'")
    log = tmp_path / "log"
    log.touch()
    argv = ("lockedmigrate", "notes", "--tenant", "--noinput", "--fake-initial")
    code, output = site.manage(*argv, DJK8S_TERMINATION_LOG=str(log))
    line = json.loads(log.read_text())
    assert (code, line["action"]) == (0, "applied"), output
    assert "blue: notes.0001_initial (faked)" in line["names"] and "red: notes.0001_initial" in line["names"], line


def test_a_tenant_without_his_migrations_is_not_migrated(site):
    assert site.manage("lockedmigrate", "--shared", "--noinput")[0] == 0
    assert site.manage("wait4db", "-s", "0.1", "-i", "0.1")[0] == 0
    sql(
        database(site),
        "CREATE SCHEMA blue",
        "CREATE SCHEMA red",
        "INSERT INTO customers_client (schema_name, name) VALUES ('blue', 'blue'), ('red', 'red')",
    )
    assert site.manage("lockedmigrate", "--tenant", "--schema=red", "--noinput")[0] == 0
    code, output = site.manage("wait4db", "-s", "0.1", "-i", "0.1", "-t", "5")
    assert code == 1 and "the next is blue: " in output and "red" not in output
    code, output = site.manage("probe", "--startup")
    assert code == 1 and "migrations are not applied" in output
    with site.start("manage.py", "wait4db", "-s", "0.1", "-i", "0.1", "-t", "3600") as waiting:
        output_until(waiting, "not migrated")
        assert site.manage("lockedmigrate", "--noinput")[0] == 0
        assert finish(waiting)[0] == 0
    assert site.manage("probe", "--startup")[0] == 0
    look = "from django.db import connection\nfrom django_operator_tasks.db.pending import unapplied_migrations\n"
    look += "connection.set_schema('red', include_public=False)\nprint(unapplied_migrations(connection), connection.schema_name, connection.include_public_schema)"
    assert site.script(look.replace("shop", "tenants"), DJANGO_SETTINGS_MODULE="tenants.settings").split() == [
        "[]",
        "red",
        "False",
    ]


def test_a_schema_of_somebody_else_is_left_alone(site):
    """Another project in the same database, whose schema is closed to this one."""
    owner = database(site)
    assert site.manage("lockedmigrate", "--shared", "--noinput")[0] == 0
    if sql(owner, "SELECT 1 FROM pg_roles WHERE rolname = 'tenants_only'"):
        sql(owner, "DROP OWNED BY tenants_only", "DROP ROLE tenants_only")
    sql(
        owner,
        "CREATE ROLE tenants_only LOGIN PASSWORD '%s'" % owner["PASSWORD"],
        "GRANT ALL ON SCHEMA public TO tenants_only",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO tenants_only",
        "CREATE SCHEMA theirs",
        "CREATE TABLE theirs.django_migrations (id int, app text, name text)",
    )
    site.settings["DATABASES"]["default"] = {**owner, "USER": "tenants_only"}
    code, output = site.manage("wait4db", "-s", "0.1", "-i", "0.1", "-t", "5")
    assert code == 0, output


def test_many_tenants_are_asked_for_together(site):
    assert site.manage("lockedmigrate", "--shared", "--noinput")[0] == 0
    assert site.manage("wait4db", "-s", "0.1", "-i", "0.1")[0] == 0
    names = ["t%03d" % number for number in range(250)]
    rows = ", ".join("('%s', '%s')" % (name, name) for name in names)
    copies = ["CREATE SCHEMA %s" % name for name in names]
    copies += ["CREATE TABLE %s.django_migrations AS TABLE public.django_migrations" % name for name in names]
    sql(database(site), "INSERT INTO customers_client (schema_name, name) VALUES " + rows, *copies)
    sql(database(site), *["DELETE FROM %s.django_migrations WHERE app = 'notes'" % name for name in names[-2:]])
    code = (
        "from django.db import connection, reset_queries\nfrom django_operator_tasks.db.pending import unapplied_migrations\n"
        "connection.force_debug_cursor = True\nprint(unapplied_migrations(connection), len(connection.queries) < 60)"
    )
    said = site.script(code, DJANGO_SETTINGS_MODULE="tenants.settings").strip()
    assert said == "['t248: notes.0001_initial', 't249: notes.0001_initial'] True"


def test_its_own_options_are_there_and_the_report_names_the_schemas(site, tmp_path):
    _, help = site.manage("lockedmigrate", "--help")
    assert "--tenant" in help and "--executor" in help and "--lock-timeout" in help
    log = tmp_path / "log"
    log.touch()
    assert site.manage("lockedmigrate", "--shared")[0] == 0
    sql(
        database(site), "CREATE SCHEMA blue", "INSERT INTO customers_client (schema_name, name) VALUES ('blue', 'blue')"
    )
    code, output = site.manage("lockedmigrate", "--tenant", "--schema=blue", DJK8S_TERMINATION_LOG=str(log))
    assert code == 0, output
    assert "blue: notes.0001_initial" in json.loads(log.read_text())["names"]
