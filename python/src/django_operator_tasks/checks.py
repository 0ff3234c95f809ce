"""System checks: what works on a desk and not in a cluster. All but those of the settings need `check --deploy`.
None is an error, which would keep every command of the project from running."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

from .conf import lock_alias, settings
from .job.durability import is_durable, static_location
from .job.run_context import run_context
from .probes import probe_classes, usable_connections

ID = "django_operator_tasks"
MIDDLEWARE = f"{ID}.middleware.ProbeMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
POOLER_PORT = "6432"
POOLER_NAMES = re.compile(r"pgbouncer|pgcat|odyssey|supavisor|pooler", re.IGNORECASE)


def register_all() -> None:
    """Makes the checks known to Django."""
    register(check_settings)
    register(check_static_root, Tags.staticfiles, deploy=True)
    register(check_probe_paths, Tags.security, deploy=True)
    register(check_sqlite_replicas, deploy=True)
    register(check_poolers, deploy=True)


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W006, W007: settings of this application that name what is not there."""
    found: list[CheckMessage] = []
    for setting in ("DJK8S_READINESS_PROBES", "DJK8S_STARTUP_PROBES"):
        try:
            probe_classes(setting)
        except Exception as error:  # whatever a module of the project does when it is imported
            hint = "Name subclasses of django_operator_tasks.probes.ReadinessProbe, by their full path."
            found.append(Warning(f"{setting}: {error}", hint=hint, id=f"{ID}.W006"))
    for database in django_settings.DATABASES:
        try:
            lock_alias(database)
        except ImproperlyConfigured as error:
            found.append(Warning(str(error), hint="Name an alias of DATABASES, or a dict of them.", id=f"{ID}.W007"))
            break
    return found


def check_static_root(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W001: what a Job collects is never seen by the pods that serve it."""
    if not django_settings.STATIC_ROOT or not in_kubernetes():
        return []
    location = static_location()
    if location is None or on_volume(location) or (os.path.isdir(location) and os.listdir(location)):
        return []  # files that came with the image are served from there
    return [
        Warning(
            f"STATIC_ROOT is {location}, where no volume is mounted and nothing lies.",
            hint="Mount a volume there that all pods share, collect the files when the image is built, or use a"
            " storage that keeps them elsewhere.",
            id=f"{ID}.W001",
        )
    ]


def check_probe_paths(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W002, W003: the kubelet asks the pod's address by http, which the project redirects or refuses."""
    middleware = list(django_settings.MIDDLEWARE)
    first = middleware.index(MIDDLEWARE) if MIDDLEWARE in middleware else len(middleware)
    before = middleware[:first]
    paths = [*settings.DJK8S_HEALTH_PATHS, *settings.DJK8S_READY_PATHS, *settings.DJK8S_STARTUP_PATHS]
    if MIDDLEWARE not in middleware:
        paths = [path for path in dict.fromkeys([*paths, *included()]) if is_ours(path)]
    if not paths:
        return []
    found: list[CheckMessage] = []
    move = f"Put {MIDDLEWARE} first in MIDDLEWARE, or "
    if SECURITY in before and django_settings.SECURE_SSL_REDIRECT:
        exempt = [re.compile(pattern) for pattern in django_settings.SECURE_REDIRECT_EXEMPT]
        redirected = [path for path in paths if not any(each.search(path.lstrip("/")) for each in exempt)]
        if redirected:
            patterns = ", ".join(f'r"^{re.escape(path.lstrip("/"))}$"' for path in redirected)
            found.append(
                Warning(
                    f"SECURE_SSL_REDIRECT answers the probes at {', '.join(redirected)} with a redirect. The kubelet"
                    " follows it to https on the same port, or takes it for success if it leads to another host.",
                    hint=f"{move}add {patterns} to SECURE_REDIRECT_EXEMPT.",
                    id=f"{ID}.W002",
                )
            )
    asks_host = {SECURITY: django_settings.SECURE_SSL_REDIRECT, COMMON: True}
    if any(asks_host.get(each) for each in before) and not any(map(may_be_pod, django_settings.ALLOWED_HOSTS)):
        found.append(
            Warning(
                f"ALLOWED_HOSTS refuses the probes at {', '.join(paths)}: the kubelet names the pod's address as host.",
                hint=f"{move}give the probe a Host header (httpGet.httpHeaders) that ALLOWED_HOSTS has.",
                id=f"{ID}.W003",
            )
        )
    return found


def check_sqlite_replicas(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W004: a SQLite file and several pods."""
    replicas = known_replicas()
    files = [each.alias for each in usable_connections() if each.vendor == "sqlite"]
    if not files or replicas is None or replicas < 2:
        return []
    return [
        Warning(
            f"The database {', '.join(map(repr, files))} is SQLite, and there are {replicas} replicas.",
            hint="Each pod would have data of its own, or they would share a file whose locks do not work across"
            " nodes. Use a database server, or one replica with strategy Recreate.",
            id=f"{ID}.W004",
        )
    ]


def check_poolers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W005: a database that looks like a pooler, and no other to take the migration lock in."""
    found: list[CheckMessage] = []
    for connection in usable_connections():
        data = connection.settings_dict
        looks = (
            str(data.get("PORT")) == POOLER_PORT
            or POOLER_NAMES.search(str(data.get("HOST") or ""))
            or data.get("DISABLE_SERVER_SIDE_CURSORS")
        )
        try:
            direct = lock_alias(connection.alias)
        except ImproperlyConfigured:
            continue  # W007
        if connection.vendor == "postgresql" and looks and direct is None:
            found.append(
                Warning(
                    f"The database {connection.alias!r} looks like a pooler, and nothing says where lockedmigrate can"
                    " take its lock.",
                    hint="Add a database to DATABASES that goes to the server directly, and name it by"
                    " DJK8S_MIGRATE_LOCK_DATABASE.",
                    id=f"{ID}.W005",
                )
            )
    return found


def may_be_pod(host: str) -> bool:
    """Whether an entry of ALLOWED_HOSTS may stand for a pod's address."""
    try:
        address = None if host == "*" else ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address is None or not (address.is_loopback or address.is_unspecified)


def in_kubernetes() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ or bool(run_context())


def known_replicas() -> int | None:
    """How many replicas there are, as far as anybody said so."""
    said = settings.DJK8S_REPLICAS or os.environ.get("DJK8S_REPLICAS")
    try:
        return int(said) if said else None
    except (TypeError, ValueError):
        return None


def on_volume(path: str) -> bool:
    """Whether something is mounted here, other than the container's own file system."""
    if "mounts" in run_context():
        return is_durable(path)
    path = os.path.realpath(path)
    while path != os.path.dirname(path):
        if os.path.ismount(path):
            return True
        path = os.path.dirname(path)
    return False


def is_ours(path: str) -> bool:
    """Whether the project's URLs lead to a view of this package."""
    try:
        view = resolve(path).func
    except (Resolver404, ImproperlyConfigured, ImportError, AttributeError):
        return False
    from .views import LivenessView, ReadinessView, StartupView

    kind = getattr(view, "view_class", None)
    return isinstance(kind, type) and issubclass(kind, (LivenessView, ReadinessView, StartupView))


def included() -> list[str]:
    """Where the project put this package's URLs, if it did."""
    from .urls import urlpatterns

    found = []
    for pattern in urlpatterns:
        with suppress(NoReverseMatch, ImproperlyConfigured, ImportError, AttributeError):
            found.append(reverse(str(pattern.name)))
    return found
