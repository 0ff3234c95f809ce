"""The settings of this application, all of which have a default."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS
from django.utils.module_loading import import_string

PREFIX = "DJK8S_"  # for projects that import it, as from djk8s
IMPORT_STRINGS = ("DJK8S_READINESS_PROBES", "DJK8S_STARTUP_PROBES")


class AppSettings:
    """The project's settings, with the defaults below; read each time."""

    # Paths at which ProbeMiddleware answers whether the process is alive, ready, started.
    DJK8S_HEALTH_PATHS: Any = ("/healthz", "/livez")
    DJK8S_READY_PATHS: Any = ("/readyz",)
    DJK8S_STARTUP_PATHS: Any = ("/startupz",)
    # Classes that are asked whether the process is ready, or has started.
    DJK8S_READINESS_PROBES: Any = (
        "django_operator_tasks.probes.DatabaseProbe",
        "django_operator_tasks.probes.MemcachedProbe",
    )
    DJK8S_STARTUP_PROBES: Any = (
        "django_operator_tasks.probes.DatabaseProbe",
        "django_operator_tasks.probes.MigrationsProbe",
    )
    # The lock that migrators take. Other projects' migrators use the same number, and so exclude ours.
    DJK8S_MIGRATE_LOCK_ID: Any = 1000
    # The alias of a database, or a dict of aliases by alias: where the lock for a database is taken
    # instead, such as past a pooler. Default: in the database itself.
    DJK8S_MIGRATE_LOCK_DATABASE: Any = None
    # How many replicas the Deployment has, for the system checks. Default: unknown.
    DJK8S_REPLICAS: Any = None

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if not name.startswith(PREFIX):
            return value
        value = getattr(django_settings, name, value)
        if name.endswith("_PATHS") and isinstance(value, str):
            return (value,)  # one path, and not one for each of its letters
        return perform_import(value, name) if name in IMPORT_STRINGS else value


def perform_import(value: Any, name: str) -> list[Any]:
    """The classes that a setting names."""
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        value = [value]
    return [import_from_string(each, name) if isinstance(each, str) else each for each in value]


def import_from_string(value: str, name: str) -> Any:
    """The class that a string names."""
    try:
        return import_string(value)
    except ImportError as error:
        raise ImportError(f"cannot import {value!r}, which the setting {name} names: {error}") from error


def lock_alias(database: str) -> str | None:
    """The alias of the database that holds the lock for another one, if the settings name one."""
    said = settings.DJK8S_MIGRATE_LOCK_DATABASE
    alias: str | None = said.get(database) if isinstance(said, dict) else said
    if alias is not None and (not isinstance(alias, str) or alias not in django_settings.DATABASES):
        raise ImproperlyConfigured(
            f"the setting DJK8S_MIGRATE_LOCK_DATABASE names {alias!r}, which is not in DATABASES"
        )
    return alias


def lock_only_aliases() -> set[str]:
    """The aliases that are another way to a database that has an alias already; requests do not use them."""
    found = set()
    for name, database in django_settings.DATABASES.items():
        try:
            alias = lock_alias(name)
        except ImproperlyConfigured:
            continue  # which matters only where a lock is taken
        if alias not in (None, name, DEFAULT_DB_ALIAS):
            other = django_settings.DATABASES[alias]
            same = all(other.get(key) == database.get(key) for key in ("ENGINE", "NAME"))
            for_tests: Any = other.get("TEST") or {}
            if same or for_tests.get("MIRROR") == name:
                found.add(alias)
    return found


settings = AppSettings()
