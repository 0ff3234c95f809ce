"""The system checks, as `manage.py check` shows them."""

import json
import re

import pytest

S, C = "django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"
PROBE = "django_operator_tasks.middleware.ProbeMiddleware"
IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


def found(site, *argv, **env):
    """The ids of this package, and all of the output."""
    code, output = site.manage("check", *argv, **env)
    assert code == 0, output
    assert "System check identified" in output
    return re.findall(r"\(django_operator_tasks\.(\w+)\)", output), output


@pytest.mark.parametrize(
    ("settings", "expected", "hint"),
    [
        ({}, [], ""),
        ({"MIDDLEWARE": [PROBE, S, C], "SECURE_SSL_REDIRECT": True, "ALLOWED_HOSTS": ["shop"]}, [], ""),
        ({"MIDDLEWARE": [S, PROBE], "SECURE_SSL_REDIRECT": True}, ["W002"], r'r"^livez$"'),
        (
            {
                "MIDDLEWARE": [S, PROBE],
                "SECURE_SSL_REDIRECT": True,
                "SECURE_REDIRECT_EXEMPT": ["^(livez|healthz|startupz)$"],
            },
            ["W002"],
            "readyz",
        ),
        ({"MIDDLEWARE": [S, PROBE], "SECURE_SSL_REDIRECT": True, "SECURE_REDIRECT_EXEMPT": ["z$"]}, [], ""),
        ({"MIDDLEWARE": [S, PROBE], "ALLOWED_HOSTS": ["shop"]}, [], ""),
        ({"MIDDLEWARE": [C, PROBE], "ALLOWED_HOSTS": ["shop"]}, ["W003"], "first in MIDDLEWARE"),
        ({"MIDDLEWARE": [C, PROBE], "ALLOWED_HOSTS": ["shop", "10.1.2.3"]}, [], ""),
        ({"MIDDLEWARE": [C, PROBE], "ALLOWED_HOSTS": ["shop", "127.0.0.1", "[::1]"]}, ["W003"], "first in MIDDLEWARE"),
        ({"MIDDLEWARE": [C], "ALLOWED_HOSTS": ["shop"]}, [], ""),
        (
            {
                "MIDDLEWARE": [S, C],
                "ALLOWED_HOSTS": ["shop"],
                "SECURE_SSL_REDIRECT": True,
                "ROOT_URLCONF": "django_operator_tasks.urls",
            },
            ["W002", "W003"],
            "/startupz",
        ),
    ],
    ids=str,
)
def test_probes_that_would_not_get_through(shop, settings, expected, hint):
    shop.settings.update(settings)
    ids, output = found(shop, "--deploy")
    assert sorted(ids) == expected and hint in output, output
    assert found(shop)[0] == [], "only before a deployment"


def test_static_files_that_nobody_would_see(shop, tmp_path):
    root = tmp_path / "static"
    shop.settings["STATIC_ROOT"] = str(root)
    assert found(shop, "--deploy")[0] == [], "not in a cluster"
    ids, output = found(shop, "--deploy", **IN_CLUSTER)
    assert ids == ["W001"] and str(root) in output
    job = {"DJANGO_OPERATOR_RUN": json.dumps({"mounts": {str(root): True}})}
    assert found(shop, "--deploy", **job)[0] == []
    assert found(shop, "--deploy", DJANGO_OPERATOR_RUN=json.dumps({"mounts": {}}))[0] == ["W001"]
    root.mkdir()
    assert found(shop, "--deploy", **IN_CLUSTER)[0] == ["W001"]
    (root / "style.css").touch()
    assert found(shop, "--deploy", **IN_CLUSTER)[0] == [], "they came with the image"
    shop.settings["STATIC_ROOT"] = "/dev/shm/nothing-here"
    assert found(shop, "--deploy", **IN_CLUSTER)[0] == [], "something is mounted there"


def test_sqlite_and_several_replicas(shop):
    for env, settings, expected in (
        ({}, {}, []),
        ({"DJK8S_REPLICAS": "1"}, {}, []),
        ({"DJK8S_REPLICAS": "many"}, {}, []),
        ({"DJK8S_REPLICAS": "3"}, {}, ["W004"]),
        ({}, {"DJK8S_REPLICAS": 2}, ["W004"]),
    ):
        shop.settings = settings
        assert found(shop, "--deploy", **env)[0] == expected
    server = {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": "1", "NAME": "x"}
    shop.settings = {"DATABASES": {"default": server}, "DJK8S_REPLICAS": 2}
    assert found(shop, "--deploy")[0] == []


def test_a_pooler_without_a_direct_way(shop):
    server = {"ENGINE": "django.db.backends.postgresql", "HOST": "db", "PORT": "5432", "NAME": "x"}
    for change, direct, expected in (
        ({}, None, []),
        ({"PORT": "6432"}, None, ["W005"]),
        ({"PORT": 6432}, "direct", []),
        ({"HOST": "my-PgBouncer.svc"}, None, ["W005"]),
        ({"DISABLE_SERVER_SIDE_CURSORS": True}, None, ["W005"]),
        ({"PORT": "6432"}, {"default": "direct"}, []),
        ({"PORT": "6432"}, {"other": "direct"}, ["W005"]),
    ):
        shop.settings = {
            "DATABASES": {"default": {**server, **change}, "direct": server},
            "DJK8S_MIGRATE_LOCK_DATABASE": direct,
        }
        assert found(shop, "--deploy")[0] == expected, change


@pytest.mark.everywhere
def test_settings_that_name_what_is_not_there(shop):
    """Told, but no reason to keep other commands from running."""
    shop.settings = {
        "DJK8S_READINESS_PROBES": ["shop.probes.Nothing"],
        "DJK8S_STARTUP_PROBES": ["shop.asgi.os"],
        "MIDDLEWARE": [],
    }
    ids, output = found(shop)
    assert ids == ["W006", "W006"]
    assert "shop.probes.Nothing" in output
    assert "is no django_operator_tasks" in output
    assert shop.manage("lockedmigrate")[0] == 0
    for wrong in ("nowhere", ["default"], {"default": "nowhere"}):
        shop.settings = {"DJK8S_MIGRATE_LOCK_DATABASE": wrong}
        assert found(shop)[0] == ["W007"]
        code, output = shop.manage("lockedmigrate")
        assert code == 1
        assert "DJK8S_MIGRATE_LOCK_DATABASE" in output


def test_probes_are_not_made_by_commands_that_ask_none(shop):
    shop.add_application(
        "picky",
        probes="import os\nfrom django_operator_tasks.probes import ReadinessProbe\n"
        "class Picky(ReadinessProbe):\n    def __init__(self): self.url = os.environ['SEARCH_URL']\n    def ready(self, request): pass\n",
        broken="raise KeyError('X')\n",
    )
    shop.settings["MIDDLEWARE"] = []
    for probes in (["picky.probes.Picky"], []):
        shop.settings["DJK8S_READINESS_PROBES"] = probes
        assert found(shop)[0] == []
        assert shop.manage("lockedmigrate")[0] == 0
    shop.settings["DJK8S_READINESS_PROBES"] = ["picky.broken.Probe"]
    assert found(shop)[0] == ["W006"]
    assert shop.manage("lockedmigrate")[0] == 0


def test_views_are_found_wherever_the_project_put_them(shop):
    shop.add_application(
        "urls_of_ours",
        below="from django.urls import include, path\nurlpatterns = [path('internal/', include('django_operator_tasks.urls'))]\n",
        own="from django.urls import path\nfrom django_operator_tasks.views import ReadinessView\n"
        "class Own(ReadinessView): pass\nurlpatterns = [path('readyz', Own.as_view())]\n",
    )
    shop.settings.update(MIDDLEWARE=[S, C], SECURE_SSL_REDIRECT=True, ALLOWED_HOSTS=["shop"])
    for urls, paths in (
        ("below", "/internal/livez, /internal/healthz, /internal/readyz, /internal/startupz"),
        ("own", "/readyz"),
    ):
        shop.settings["ROOT_URLCONF"] = "urls_of_ours." + urls
        ids, output = found(shop, "--deploy")
        assert ids == ["W002", "W003"]
        assert f"the probes at {paths} with" in output
