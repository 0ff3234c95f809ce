"""Published projects that never heard of us, in unchanged images: one file with Deployment, user, migrations and static
files is applied, and all becomes Ready without a second touch. `make test-projects` runs all of them, with migrations
that take minutes; the tests of every day the first."""

import os

import pytest
import yaml
from support.kube import ROOT, condition, task

PASSWORD = "projects-S3cr3tP@ss"
# Of each: what a user needs beyond a name, whether the files are not collected in the image, how it is started there,
# where to look at the user without the operator, and the annotations of the target.
PROJECTS = {
    "ara": {
        "user": {},
        "static": True,
        "started": "ara-manage, the management program of ara",
        "query": "SELECT username, is_superuser FROM auth_user",
    },
    "bugsink": {
        "user": {"email": "ann@example.com"},
        "static": False,
        "started": "settings bugsink_conf, which bugsink.wsgi sets, loaded by gunicorn",
        "query": "SELECT username, is_superuser FROM auth_user",
    },
    "nemo": {
        "user": {"email": "ann@example.com", "attributes": {"first_name": "Ann", "last_name": "Archer"}},
        "static": True,
        "started": "settings settings, which the command sets",
        "query": 'SELECT username, is_superuser FROM "NEMO_user"',
    },
    "kolibri": {
        "annotations": {"django.my.domain/manage": "kolibri manage --skip-update"},
        "static": False,
        "started": None,
    },
    "mailman-web": {
        "user": {"email": "ann@example.com"},
        "static": True,
        "started": "the module mailman_web.manage, from where gunicorn loads mailman_web.wsgi",
        "query": "SELECT username, is_superuser FROM auth_user",
    },
    "nautobot": {
        "user": {"email": "ann@example.com"},
        "static": True,
        "started": "nautobot-server, the management program of nautobot",
        "query": "SELECT username, is_superuser FROM auth_user",
    },
    "wagtail": {
        "user": {"email": "ann@example.com"},
        "static": True,
        "started": "manage.py of the working directory /app",
        "query": "SELECT username, is_superuser FROM auth_user",
    },
}
CHOSEN = os.environ.get("PROJECTS", "ara").split()
# Seconds that each new table takes, so that all take longer than anybody waits without a sign of progress.
SLOW = {"ara": 25} if os.environ.get("SLOW") else {}
SLEEP = """
CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(%d); END $$;
CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION slow();
"""


@pytest.fixture(scope="module")
def applied(kube, site):
    secret = {"password": PASSWORD, "secret-key": "projects-secret-key-" + "3a7e9f1c" * 8}
    kube.create(site.ns, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "projects"}, "stringData": secret})
    for name in CHOSEN:
        site.sql("CREATE DATABASE %s OWNER myapp" % database(name), "postgres")
        if name in SLOW:
            site.sql(SLEEP % SLOW[name], database(name))
    for name in CHOSEN:
        kube.apply("---\n".join(map(yaml.safe_dump, release(kube, site, name))), site.ns)
    yield
    site.clear(lambda name: name in CHOSEN)


def database(name):
    return name.replace("-", "_")


def release(kube, site, name):
    """One file, in no order that helps."""
    web = yaml.safe_load(kube.kubectl("get", "-n", site.ns, "deployment", "web", "-o", "yaml").stdout)
    pod = web["spec"]["template"]["spec"]
    container = pod["containers"][0]
    for field in ("command", "args", "env", "readinessProbe"):
        container.pop(field, None)
    container["image"] = "localhost/%s:1" % name
    container.update(yaml.safe_load((ROOT / "tests/cluster/projects" / name / "target.yaml").read_text()))
    labels = {"app": name, "app.kubernetes.io/component": "django-server"}
    target = {"deployment": name}
    if "user" in PROJECTS[name]:
        own = {"target": target, "passwordSecretRef": {"name": "projects", "key": "password"}}
        yield task("DjangoUser", name, username="ann", superuser=True, **own, **PROJECTS[name]["user"])
    if PROJECTS[name]["static"]:
        yield task("DjangoStatic", name, target=target)
    yield task("DjangoMigrate", name, target=target)
    yield {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "annotations": PROJECTS[name].get("annotations", {})},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


@pytest.mark.parametrize("name", CHOSEN)
def test_a_first_install_in_one_file_becomes_ready_without_a_second_touch(kube, site, applied, name):
    project = PROJECTS[name]
    users, static = ["DjangoUser"] if "user" in project else [], ["DjangoStatic"] if project["static"] else []
    kinds = ["DjangoMigrate", *users, *static]
    found = {}
    for kind in kinds:
        found[kind] = site.becomes(kind, name, "Succeeded", 1800 if name in SLOW else 600)
        assert found[kind]["status"]["lastRun"]["number"] == 1 and condition(found[kind], "Finished")["status"] == "True"
        started = found[kind]["status"]["report"].get("started", "")
        assert started.startswith(project["started"]) if project["started"] else not started, started
    if users:
        assert site.sql(project["query"], database(name)) == "ann|t"
    # A squashed migration that is recorded with those that it stands for counts once.
    recorded = int(site.sql("SELECT count(*) FROM django_migrations", database(name)))
    assert 0 < found["DjangoMigrate"]["status"]["report"]["count"] <= recorded
    if project["static"]:
        assert found["DjangoStatic"]["status"]["report"]["count"] > 0
    if name in SLOW:
        assert found["DjangoMigrate"]["status"]["lastRun"]["durationSeconds"] > 300
        assert found["DjangoUser"]["status"]["lastRun"]["durationSeconds"] > 300
