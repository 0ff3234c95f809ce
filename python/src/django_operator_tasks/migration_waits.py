"""Waits for what migrations bring that are yet to come, as long as they get on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.core.management.base import CommandError
from django.db import DatabaseError, Error, OperationalError, ProgrammingError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from .conf import lock_alias, settings
from .db.failures import is_of_another_type, is_refused_row, is_transient, is_undefined, lacks_right
from .db.migration_state import applied_migrations
from .db.pending import unapplied_in_current_schema, unapplied_migrations
from .db.waiting import wait_for_database
from .errors import MissingRow, TaskError
from .job.report import describe, say, without_secrets
from .job.run_context import run_context
from .locks import lock_holder

T = TypeVar("T")
STALLED_SECONDS = 300  # after the last sign that somebody migrates
PAUSE = 1.0


def wait_for_model(connection: BaseDatabaseWrapper, model: type[Model]) -> None:
    """Asks for a model's table. Inside of a Job, where everything of a release is applied at once, waits for it, and
    for every migration of its application: half a table is none."""
    progress = MigrationProgress(connection)
    while not progress.through_outages(lambda: _has_table(connection, model)):
        message = f"the database is not migrated for {model._meta.label}"
        progress.wait(f"the migrations of {model._meta.app_label}", message)


def retry_while_migrating(connection: BaseDatabaseWrapper, attempt: Callable[[], T]) -> T:
    """Makes the attempt again where it met a schema that is not the code's, of whatever application, as long as
    migrations of the database are yet to come: what a model's `save` touches is nobody's to know. Only inside of a
    Job."""
    progress = MigrationProgress(connection)
    while True:
        try:
            return attempt()
        except (DatabaseError, MissingRow) as error:
            refused = is_refused_row(error)
            if not run_context() or connection.in_atomic_block or not (refused or is_unlike_schema(error, connection)):
                raise
            if refused and unapplied_migrations(connection):
                progress.wait_for_all(error)
                continue
            if progress.moved():
                continue
            if not unapplied_migrations(connection):
                raise
            said = without_secrets(error).strip()
            progress.wait_for_change(f"migrations, as it says: {said}", f"migrations are pending: {said}")


def is_unlike_schema(error: Exception, connection: BaseDatabaseWrapper) -> bool:
    """Whether something is not there, or is of another type."""
    return isinstance(error, MissingRow) or is_undefined(error, connection.vendor) or is_of_another_type(error)


class MigrationProgress:
    """Whether anybody migrates a database: rows are added to its table of migrations, or another session holds the
    migration lock."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.applied: object = None  # until somebody looks: most have nothing to wait for
        self.last = time.monotonic()
        self.told = ""

    def moved(self) -> bool:
        """Whether migrations were applied since the last look; true of the first, before which some may have been."""
        now = self._applied()
        if now is None or now == self.applied:  # what cannot be read says nothing
            return False
        self.applied = now
        self.last = time.monotonic()
        return True

    def through_outages(self, look: Callable[[], T]) -> T:
        """What a look at the database gives, when it answers: it may be restarted meanwhile."""
        while True:
            try:
                return look()
            except Error as error:
                locked = self.connection.vendor == "sqlite" and "locked" in str(error)
                if not run_context() or not is_transient(error) or self.connection.in_atomic_block:
                    raise
                if not locked and self.connection.connection is not None and self.connection.is_usable():
                    raise
                self.connection.close()
                wait_for_database(self.connection)
                time.sleep(PAUSE if locked else 0)

    def wait(self, what: str, message: str) -> None:
        """Waits a moment.

        :raises TaskError: NotMigrated, if nobody has migrated for too long.
        """
        holder = self._holder()
        if not self.moved() and holder is not None:
            self.last = time.monotonic()
        if time.monotonic() - self.last >= (STALLED_SECONDS if run_context() else 0):
            advice = "migrate it first, with a DjangoMigrate or lockedmigrate"
            waited = f" ({self._stalled()})" if run_context() else ""
            raise TaskError("NotMigrated", f"{message}; {advice}{waited}")
        told = f"waiting for {what}" + (f"; the migration lock is held by {holder}" if holder else "")
        if told != self.told:
            say(told)
            self.told = told
        session = self.connection
        if session.connection is not None and not session.in_atomic_block and not session.get_autocommit():
            session.rollback()  # what was read would hold up who migrates, and stay as it was
        # With tenants, a look goes through the schemas.
        time.sleep(PAUSE * (5 if hasattr(self.connection, "set_schema") else 1))

    def wait_for_change(self, what: str, message: str) -> None:
        """Waits until there are other migrations than before."""
        before = self.applied
        while self.applied == before:
            self.wait(what, message)
        wait_for_database(self.connection)

    def wait_for_all(self, refusal: Exception) -> None:
        """Waits until no migrations are yet to come: what a row is refused by rarely goes with the next of them, and
        each attempt has effects of its own, such as mails. Where it stalls half way, it is time for one more attempt.

        :raises CommandError: that the row was refused, if nobody has migrated for too long.
        """
        before, said = self._applied(), describe(refusal)
        try:
            while self.through_outages(lambda: unapplied_migrations(self.connection)):
                self.wait(f"migrations, as it says: {said}", "")
        except TaskError as stalled:
            if stalled.reason != "NotMigrated":
                raise
            if self.applied == before:
                told = f"{said}; migrations are pending, which may be the reason ({self._stalled()})"
                raise CommandError(told) from refusal
        self.moved()

    def _stalled(self) -> str:
        return (
            f"nothing was migrated for {STALLED_SECONDS // 60} minutes, and nobody is known to hold migration lock"
            f" {settings.DJK8S_MIGRATE_LOCK_ID}"
        )

    def _applied(self) -> object:
        return applied_migrations(self.connection)

    def _holder(self) -> str | None:
        """Who holds the lock, where it is taken for this database."""
        alias = lock_alias(self.connection.alias) or self.connection.alias
        try:
            return lock_holder(connections[alias], settings.DJK8S_MIGRATE_LOCK_ID)
        except Error:
            return None


def _has_table(connection: BaseDatabaseWrapper, model: type[Model]) -> bool:
    try:
        if run_context() and unapplied_in_current_schema(connection, model._meta.app_label):
            return False
        model._base_manager.using(connection.alias).exists()
    except (OperationalError, ProgrammingError) as error:
        if lacks_right(error):
            said = without_secrets(error).strip()
            raise TaskError(
                "InsufficientPrivilege", f"the user of database {connection.alias!r} lacks a right: {said}"
            ) from error
        if model._meta.db_table in connection.introspection.table_names():
            raise  # something else is wrong
        return False
    return True
