"""Green must mean done: refuses what would vanish with the Job's pod.

Only inside of a Job, where the operator says which mounts outlive the pod.
"""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from django.db.backends.base.base import BaseDatabaseWrapper

from ..errors import TaskError
from .run_context import run_context


def is_durable(path: str) -> bool:
    """Whether a file here outlives the pod; true outside of Jobs, where nobody knows."""
    mounts = run_context().get("mounts")
    if mounts is None:
        return True
    path = os.path.realpath(path)
    around = {os.path.realpath(mount): lasts for mount, lasts in mounts.items()}
    holding = [mount for mount in around if os.path.commonpath([path, mount]) == mount]
    return bool(holding) and around[max(holding, key=len)]


def require_durable_database(connection: BaseDatabaseWrapper) -> None:
    """Refuses a SQLite file in the pod's own file system."""
    if connection.vendor != "sqlite":
        return
    file = sqlite_file(connection)
    if "mounts" in run_context() and (file is None or not is_durable(file)):
        raise TaskError(
            "EphemeralDatabase",
            "database %r is the SQLite file %s, which vanishes with this pod. Does the Job use the settings"
            " (DJANGO_SETTINGS_MODULE) and the environment that the web pods use? A SQLite file that is meant"
            " has to lie on a volume" % (connection.alias, file or ":memory:"),
        )


def sqlite_file(connection: BaseDatabaseWrapper) -> str | None:
    """The file of a SQLite database, which may be given as a URI; None if it is in memory."""
    name = str(connection.settings_dict.get("NAME") or ":memory:")
    if name.startswith("file:"):
        parts = urlsplit(name)
        name = ":memory:" if "mode=memory" in parts.query else unquote(parts.path)
    return None if name == ":memory:" else name


def static_location() -> str | None:
    """The directory that collectstatic writes to; None for storages that are not files."""
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.exceptions import ImproperlyConfigured

    try:
        staticfiles_storage.path("")
        return str(getattr(staticfiles_storage, "location", "")) or None
    except (AttributeError, NotImplementedError, ImproperlyConfigured):
        return None


def require_durable_static_root() -> None:
    """Refuses static files in the pod's own file system; storages that are not files are never in question."""
    location = static_location()
    if location is not None and not is_durable(location):
        raise TaskError(
            "StaticRootNotPersistent",
            "STATIC_ROOT is %s, which vanishes with this pod: no volume of the target lies there. Mount one,"
            " or use a storage that keeps files elsewhere" % location,
        )
