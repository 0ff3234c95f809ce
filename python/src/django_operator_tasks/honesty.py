"""Green must mean done: refuses what would vanish with the Job's pod.

Only inside of a Job, where the operator says which mounts outlive the pod.
"""

import os

from .errors import TaskError
from .report import run_facts


def lasting(path):
    """Whether a file here outlives the pod; true outside of Jobs, where nobody knows."""
    mounts = run_facts().get("mounts")
    if mounts is None:
        return True
    path = os.path.realpath(path)
    around = {os.path.realpath(mount): lasts for mount, lasts in mounts.items()}
    holding = [mount for mount in around if os.path.commonpath([path, mount]) == mount]
    return bool(holding) and around[max(holding, key=len)]


def check_database(connection):
    """Refuses a SQLite file in the pod's own file system."""
    if connection.vendor != "sqlite":
        return
    name = str(connection.settings_dict.get("NAME") or ":memory:")
    in_memory = name == ":memory:" or "mode=memory" in name
    if "mounts" in run_facts() and (in_memory or not lasting(name)):
        raise TaskError(
            "EphemeralDatabase",
            "database %r is the SQLite file %s, which vanishes with this pod. Does the Job use the settings"
            " (DJANGO_SETTINGS_MODULE) and the environment that the web pods use? A SQLite file that is meant"
            " has to lie on a volume" % (connection.alias, name),
        )


def check_static_root():
    """Refuses static files in the pod's own file system; storages that are not files are never in question."""
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.exceptions import ImproperlyConfigured

    try:
        staticfiles_storage.path("")
        location = staticfiles_storage.location
    except (AttributeError, NotImplementedError, ImproperlyConfigured):
        return
    if not lasting(location):
        raise TaskError(
            "StaticRootNotPersistent",
            "STATIC_ROOT is %s, which vanishes with this pod: no volume of the target lies there. Mount one,"
            " or use a storage that keeps files elsewhere" % location,
        )
