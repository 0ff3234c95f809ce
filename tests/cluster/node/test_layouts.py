"""Any project, told nothing: images of many layouts, and the label alone. Each has a database of its own."""

import sys

import pytest
from support.kube import ROOT, condition, eventually, message, reason, task

sys.path.insert(0, str(ROOT / "tests/cluster/layouts"))
from layouts import FAILING, LAYOUTS  # noqa: E402

EVERY_KIND = ("manage", "wsgi", "no-command", "uv")
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "layouts"}, "stringData": {"password": "S3cr3tP@ss"}}


@pytest.fixture(scope="module")
def applied(kube, site):
    """All at once, as a release is: the tasks of every layout, in one go with their targets."""
    kube.create(site.ns, SECRET)
    for name, layout in {**LAYOUTS, **FAILING}.items():
        site.sql("CREATE DATABASE %s OWNER myapp" % database(name), "postgres")
        targets = {False: deploy(site, name, layout)}
        if name in EVERY_KIND:
            targets[True] = deploy(site, name, layout, "worker")
        for kind, spec in tasks(name).items():
            target = targets[kind == "DjangoCelery"]
            kube.create(site.ns, task(kind, "layout-" + name, target=target, historyLimit=1, **spec))
    yield
    site.clear(lambda name: name.startswith("layout-"))


def database(name):
    return "layout_" + name.replace("-", "_")


def tasks(name):
    found = {"DjangoMigrate": {}}
    if name in EVERY_KIND:
        found["DjangoUser"] = {"username": "ann", "superuser": True, "passwordSecretRef": {"name": "layouts", "key": "password"}}
        found["DjangoStatic"] = {}
        found["DjangoCelery"] = {"app": "shop", "worker": "nobody"}
        found["DjangoCommand"] = {"commands": [["check"], ["diffsettings"]]}
    return found


def deploy(site, name, layout, base="web"):
    def change(pod):
        container = pod["containers"][0]
        container["image"] = "localhost/layouts:1"
        container.pop("command", None)
        for field, words in (("command", layout.command), ("args", layout.args)):
            if words:
                container[field] = [word.replace("{name}", name) for word in words]
        container["workingDir"] = "/layouts/%s/%s" % (name, layout.directory)

    env = {key: value.replace("{name}", name) for key, value in layout.env.items()}
    if layout.on_path:
        env.setdefault("PATH", "/layouts/%s/%s/bin:/usr/bin:/bin" % (name, layout.venv))
    env.setdefault("DJANGO_SETTINGS_MODULE", None)
    annotations = dict(layout.annotations)
    made = "layout-" + name if base == "web" else "layout-%s-%s" % (name, base)
    return site.variant(made, base, annotations, change, DATABASE_NAME=database(name), **env)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_migrates_with_the_label_alone(kube, site, applied, name):
    layout = LAYOUTS[name]
    done = site.becomes("DjangoMigrate", "layout-" + name, "Succeeded", 400)
    assert site.sql("SELECT name FROM django_migrations WHERE app = 'shop'", database(name)) == "0001_initial"
    report = done["status"]["report"]
    assert report["settings"] == "shop.settings"
    if layout.annotations:
        assert "started" not in report
    else:
        started, _, python = report["started"].rpartition(", by ")
        assert started.startswith(layout.started.replace("{name}", name)), report["started"]
        assert python.replace("python3", "python") == "/layouts/%s/%s" % (name, layout.python), report["started"]


@pytest.mark.parametrize("name", EVERY_KIND)
def test_every_kind_works_there(kube, site, applied, name):
    site.becomes("DjangoUser", "layout-" + name, "Succeeded", 400)
    assert site.sql("SELECT username, is_superuser FROM auth_user", database(name)) == "ann|t"
    static = site.becomes("DjangoStatic", "layout-" + name, "Succeeded", 400)
    assert static["status"]["report"] == {**static["status"]["report"], "action": "collected", "count": 1}
    kube.patch("DjangoStatic", site.ns, "layout-" + name, {"spec": {"trigger": "again"}})
    again = eventually(lambda: (t := site.becomes("DjangoStatic", "layout-" + name, "Succeeded")) and t["status"]["lastRun"]["number"] == 2 and t)
    assert again["status"]["report"]["action"] == "unmodified" and "nothing changed: 1 static file unmodified" in message(again)
    commands = site.becomes("DjangoCommand", "layout-" + name, "Succeeded", 400)
    assert [(each["name"], each["state"]) for each in commands["status"]["lastRun"]["steps"]] == [("check", "Succeeded"), ("diffsettings", "Succeeded")]
    # Celery of the project's own interpreter asked the broker.
    assert "'nobody'" in message(site.becomes("DjangoCelery", "layout-" + name, "UnknownQueue", 400))


@pytest.mark.parametrize("name", FAILING)
def test_a_failure_says_what_to_write(kube, site, applied, name):
    layout = FAILING[name]
    failed = site.becomes("DjangoMigrate", "layout-" + name, layout.reason, 400)
    for words in layout.says:
        assert words in message(failed), message(failed)


MENDED = {
    "nothing": "DJANGO_SETTINGS_MODULE=shop.settings python -m django",
    "two-programs": "/layouts/two-programs/venv/bin/shopctl",
    "no-django": "/layouts/no-django/elsewhere/bin/python manage.py",
    "no-python": "/layouts/no-python/venv/bin/python manage.py",
}


@pytest.mark.parametrize("name", MENDED)
def test_the_annotation_alone_mends_it(kube, site, applied, name):
    """The run follows by itself."""
    site.becomes("DjangoMigrate", "layout-" + name, FAILING[name].reason, 400)
    kube.patch("Deployment", site.ns, "layout-" + name, {"metadata": {"annotations": {"django.my.domain/manage": MENDED[name]}}})
    done = eventually(lambda: (t := kube.get("DjangoMigrate", site.ns, "layout-" + name)) and reason(t) == "Succeeded" and t, "mended", 400)
    assert condition(done, "Finished")["status"] == "True"
    assert done["status"]["lastRun"]["cause"] == "Target"
    assert done["status"]["history"][0]["message"]
    assert site.sql("SELECT name FROM django_migrations WHERE app = 'shop'", database(name)) == "0001_initial"
