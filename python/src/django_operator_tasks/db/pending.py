"""The migrations that the code knows and a database has not seen.

What a look costs is a query: the graph of all migrations depends on the database only in which squashed migrations
stand for which others, and is made anew only where that differs.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from django.apps import apps
from django.core.signals import setting_changed
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from .migration_state import Key, applied_keys
from .tenants import group_by_migrations, preserve_schema

MOST_GRAPHS = 8


def unapplied_migrations(connection: Any) -> list[str]:
    """The names of the migrations, in order; also those of each tenant."""
    missing = unapplied_in_current_schema(connection)
    if missing or not hasattr(connection, "include_public_schema"):
        return missing  # tenants come later
    with preserve_schema(connection):
        for group in group_by_migrations(connection):
            connection.set_schema(group[0], include_public=False)
            names = unapplied_in_current_schema(connection)
            missing += [f"{schema}: {name}" for schema in group for name in names]
    return missing


def unapplied_in_current_schema(connection: BaseDatabaseWrapper, app: str | None = None) -> list[str]:
    """The same for where the connection is; of one application and what it depends on, or of all."""
    applied = frozenset(applied_keys(connection))
    graph = graphs.get(connection, applied)
    missing = [key for key in graph.order(app) if not graph.is_applied(key, applied)]
    allowed = {label: may_migrate(connection.alias, label) for label in {label for label, _ in missing}}
    return [f"{label}.{name}" for label, name in missing if allowed[label]]


class Graph:
    """All migrations in the order in which they are applied, as the database stands with regard to squashed ones."""

    def __init__(self, loader: MigrationLoader) -> None:
        self.graph = loader.graph
        self.squashed = {key: key in (loader.applied_migrations or ()) for key in loader.replacements}
        self.orders: dict[str | None, list[Key]] = {}

    def order(self, app: str | None) -> list[Key]:
        """Every migration that one application needs, or all of them."""
        if app not in self.orders:
            found: dict[Key, None] = {}
            for leaf in self.graph.leaf_nodes(app):
                found.update(dict.fromkeys(self.graph.forwards_plan(leaf)))
            self.orders[app] = list(found)
        return self.orders[app]

    def is_applied(self, key: Key, applied: frozenset[Key]) -> bool:
        """Whether the database has it; a squashed one if it has all that it stands for."""
        return self.squashed.get(key, key in applied)


class Graphs:
    """The graphs of this process, by which of the replaced migrations the database has."""

    def __init__(self) -> None:
        self.replaced: frozenset[Key] | None = None
        self.known: dict[frozenset[Key], Graph] = {}
        self.lock = Lock()

    def get(self, connection: BaseDatabaseWrapper, applied: frozenset[Key]) -> Graph:
        """The graph for a database that has seen these migrations."""
        with self.lock:
            replaced = self.replaced
            if replaced is not None and applied & replaced in self.known:
                return self.known[applied & replaced]
        loader = MigrationLoader(connection)  # asks the server: another thread's may answer meanwhile
        with self.lock:
            if self.replaced is None:
                listed = {key for migration in loader.replacements.values() for key in migration.replaces}
                self.replaced = frozenset(listed - set(loader.replacements))
            if len(self.known) >= MOST_GRAPHS:
                self.known.clear()
            # What the loader itself has read: others migrate meanwhile.
            graph = self.known[frozenset(loader.applied_migrations or ()) & self.replaced] = Graph(loader)
            return graph

    def forget(self, *, setting: str, **_: Any) -> None:
        """Tests change the applications."""
        if setting in ("INSTALLED_APPS", "MIGRATION_MODULES"):
            with self.lock:
                self.replaced = None
                self.known.clear()


graphs = Graphs()
setting_changed.connect(graphs.forget)


def may_migrate(alias: str, label: str) -> bool:
    """Whether the project's routers let anything of an application into a database."""
    try:
        models = list(apps.get_app_config(label).get_models(include_auto_created=True))
    except LookupError:  # of a label that the project gave up
        models = []
    if models:
        return any(router.allow_migrate_model(alias, model) for model in models)
    return bool(router.allow_migrate(alias, label))
