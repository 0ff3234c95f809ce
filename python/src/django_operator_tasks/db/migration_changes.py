"""What a `migrate` did, by what its database says before and after, and by what it told meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db.migrations.loader import MigrationLoader

from ..job import report
from .executors import hear_executors
from .migration_state import Key, applied_migrations, schema_of


class MigrationChanges:
    """The changes of one command, told also when it breaks off half-way."""

    def __init__(self, options: Mapping[str, Any], *, several_databases: bool) -> None:
        self.prune = bool(options.get("prune"))
        self.fake = bool(options.get("fake"))
        self.several_databases = several_databases
        self.faked: set[tuple[str, Key]] = set()  # by `--fake-initial`, by schema, of the database that is migrated
        self.added: list[str] = []
        self.removed: list[str] = []
        self.only_recorded = 0
        self.known = True

    def note(self, alias: str, connection: Any, action: str, migration: Any, fake: bool) -> None:
        """Hears of a migration that was carried out, or recorded as if it had been."""
        if action == "apply_success" and fake and connection.alias == alias:
            self.faked.add((schema_of(connection), (migration.app_label, migration.name)))

    @contextmanager
    def record(self, connection: Any) -> Iterator[None]:
        """Reads `django_migrations` before and after the block."""
        self.faked.clear()
        before = applied_migrations(connection)
        try:
            with hear_executors(partial(self.note, connection.alias)):
                yield
        finally:
            after = applied_migrations(connection)
            if before is None or after is None:
                self.known = False
            else:
                self.compare(connection.alias, before, after)
            self.tell()

    def compare(self, alias: str, before: dict[str, list[Key]], after: dict[str, list[Key]]) -> None:
        """Adds what is different in a database, schema by schema."""
        if before == after:
            return
        loader = MigrationLoader(None)
        for schema in sorted({**before, **after}):
            old, new = before.get(schema, []), after.get(schema, [])
            prefix = "".join(f"{part}: " for part in (alias if self.several_databases else "", schema) if part)
            for key in without_replaced(loader, new, set(old)):
                faked = (schema, key) in self.faked
                self.only_recorded += faked
                mark = " (faked)" if faked and not self.fake else ""
                self.added.append(f"{prefix}{key[0]}.{key[1]}{mark}")
            for key in without_replaced(loader, old, set(new)):
                self.removed.append(f"{prefix}{key[0]}.{key[1]}")

    def tell(self) -> None:
        """Says what was done so far."""
        if self.prune:
            report.current.record_success("pruned", self.removed)
        elif self.fake:
            report.current.record_success("faked", [*self.added, *self.removed])
        elif self.removed and not self.added:
            report.current.record_success("unapplied", self.removed)
        elif self.added and self.only_recorded == len(self.added):
            report.current.record_success("faked", self.added)
        else:
            report.current.record_success("applied", self.added)
        if not self.known:
            report.current.count = None


def without_replaced(loader: MigrationLoader, keys: Iterable[Key], others: set[Key]) -> list[Key]:
    """The migrations that others do not have. Of a squashed one and those that it stands for, which are recorded
    together, the one that ran."""
    listed = [key for key in keys if key not in others]
    found = set(listed)
    left_out: set[Key] = set()
    for key in found & set(loader.replacements):
        replaced = replaced_by(loader, key)
        originals = replaced - set(loader.replacements)
        if originals <= found:
            left_out |= replaced  # it ran in their place
        elif originals & others:
            left_out.add(key)  # they had run, or the last of them did: it is recorded as done
    return [key for key in listed if key not in left_out]


def replaced_by(loader: MigrationLoader, key: Key) -> set[Key]:
    """What a squashed migration stands for; since Django 6 also what those stand for that are squashed themselves."""
    found: set[Key] = set()
    waiting = [key]
    while waiting:
        migration = loader.replacements.get(waiting.pop())
        more = set(migration.replaces if migration else ()) - found
        found |= more
        waiting += more
    return found
