"""A project whose `migrate` is not Django's own."""

import json

import pytest
from conftest import PROJECTS, Site, finish, sql


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
