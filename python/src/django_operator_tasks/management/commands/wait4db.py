"""Waits until databases answer without interruption, and have every migration that the code knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Thread
from typing import Any, NamedTuple

from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.loader import MigrationLoader

from ...base_command import ReportingCommand, add_seconds_option, unique_values
from ...conf import settings
from ...db.failures import is_connection_refused, lacks_right
from ...db.pending import unapplied_migrations
from ...errors import TaskError
from ...job import report
from ...job.run_context import run_context
from ...job.scrub import scrubbed
from ...job.server_address import server_address
from ...locks import lock_holder
from ...probes import select_one

# One attempt may not take all of the time, as it does where packets are dropped.
CONNECT_SECONDS = 10
# A server that takes longer over `SELECT 1` does not answer.
SILENT_SECONDS = 10.0
UNREACHABLE = "DatabaseUnreachable"
LACKS_RIGHT = "InsufficientPrivilege"


class Command(ReportingCommand):
    """For init containers: holds a pod back until its databases are ready."""

    help = "Waits for the database to be ready and migrated before exiting."

    def add_arguments(self, parser: CommandParser) -> None:
        add_seconds_option(parser, "-t", "--timeout", 180, "number of seconds to wait for database until timeout")
        add_seconds_option(parser, "-s", "--stable", 5, "stability timeout to wait for continuous database connection")
        add_seconds_option(parser, "-i", "--interval", 1, "number of seconds to wait between database checks")
        parser.add_argument(
            "-d",
            "--database",
            action="append",
            help="which database to wait for, default: 'default'; may be given several times",
        )
        parser.add_argument(
            "--ready-only", action="store_true", help="do not wait for migrations, only for the database itself"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("timeout", "stable", "interval"):
            if not options[name] > 0:
                raise CommandError(f"--{name} must be greater than 0 seconds")
        databases = unique_values(options["database"], DEFAULT_DB_ALIAS)
        for database in databases:
            if database not in connections:
                known = ", ".join(connections)
                raise CommandError(f"--database: there is no database {database!r} in DATABASES, only {known}")
        changed = Event()
        if not options["ready_only"]:
            MigrationLoader(None)  # imports them all, which takes its time, before the time runs
        monitors = [
            DatabaseMonitor(
                connections[database], options["stable"], options["interval"], options["ready_only"], changed
            )
            for database in databases
        ]
        with self.exit_on_sigterm(in_threads=True):
            say = self.write_and_flush if options["verbosity"] else lambda text: None
            watch(monitors, options["timeout"], changed, say)
        for database in databases:
            report.current.add_database(connections[database])
        report.current.record_success("ready", databases)


def wait_for_database(
    timeout: float = 180, stable: float = 5, interval: float = 1, database: str = DEFAULT_DB_ALIAS, **_: Any
) -> None:
    """Waits for the database alone, as the function of this name in djk8s does, whatever its migrations are.

    :param timeout: seconds to wait at most.
    :param stable: seconds for which it has to answer without interruption.
    :param interval: seconds between two looks.
    :raises TimeoutError: when the time is up.
    """
    changed = Event()
    monitor = DatabaseMonitor(connections[database], stable, interval, True, changed)
    try:
        watch([monitor], timeout, changed, report.say)
    except TaskError as error:
        raise TimeoutError(str(error)) from error


class State(NamedTuple):
    """How a database stands."""

    ready: bool
    reason: str  # why it is not ready; empty while it is
    message: str


UNKNOWN = State(False, UNREACHABLE, "no answer yet")


class DatabaseMonitor(Thread):
    """One database, looked at again and again: in a thread, as a server that hangs answers to no deadline."""

    def __init__(self, connection: Any, stable: float, interval: float, ready_only: bool, changed: Event) -> None:
        super().__init__(daemon=True)
        self.connection, self.alias = connection, connection.alias
        self.stable, self.interval, self.changed = stable, interval, changed
        connection.inc_thread_sharing()
        self.options = connection.settings_dict.setdefault("OPTIONS", {})
        if connection.vendor in ("postgresql", "mysql"):
            connection.settings_dict["OPTIONS"] = {"connect_timeout": CONNECT_SECONDS, **self.options}
        self.ended = Event()
        self.migrated = ready_only
        self.answered = self.lacked_some = False
        self.alive_since: float | None = None
        self.asked_at: float | None = None
        self.state = UNKNOWN
        self.error: Exception | None = None

    def run(self) -> None:
        connection = self.connection
        connections[self.alias] = connection  # in this thread as well
        while not self.ended.is_set():
            try:
                with connection.execute_wrapper(self.ask):
                    self.state = self.check(connection)
            except Exception as error:  # nothing that waiting mends; the other thread tells
                self.error = error
                self.ended.set()
            self.changed.set()
            stable_in = self.stable if self.alive_since is None else self.alive_since + self.stable - time.monotonic()
            self.ended.wait(min(self.interval, stable_in) if stable_in > 0 else self.interval)

    def stop(self) -> None:
        """Ends, and leaves the connection to its owner as it was, unless a server that hangs keeps it."""
        self.ended.set()
        self.join(1)
        if not self.is_alive():
            self.connection.settings_dict["OPTIONS"] = self.options
            self.connection.dec_thread_sharing()

    def ask(self, act: Callable[..., Any], *args: Any) -> Any:
        """Asks the server. Its silence is the time of that alone, and not what it takes to understand the answer."""
        self.asked_at = time.monotonic()
        try:
            return act(*args)
        finally:
            self.asked_at = None

    def check(self, connection: Any) -> State:
        """Finds out how things stand now."""
        try:
            self.ask(connection.ensure_connection)
            asked = time.monotonic()
            if not select_one(connection):
                raise Error("it does not answer")
            now = time.monotonic()
            self.answered = True
            if self.state is UNKNOWN:
                self.state = State(False, "NotMigrated", "not known yet, what migrations it has")
            if self.alive_since is None or now - asked > SILENT_SECONDS:
                self.alive_since = now
            alive = now - self.alive_since
            missing, migrator = self.migrations_to_come(connection)
        except Error as error:
            connection.close()
            self.alive_since = None
            said = scrubbed(error).strip() or type(error).__name__
            later = sidecar_advice(connection) if not self.answered and is_connection_refused(error) else ""
            if later and not run_context().get("nativeSidecars"):
                return State(True, "", f"not waited for: {said}; {later}")
            if later:  # unless one of those that are there already is what it is reached by
                return State(False, UNREACHABLE, f"not ready: {said}; {later}")
            if lacks_right(error):
                return State(False, LACKS_RIGHT, f"its user lacks a right: {said}")
            return State(False, UNREACHABLE, f"not ready: {said}")
        if missing:
            to_come = "1 migration" if len(missing) == 1 else f"{len(missing)} migrations"
            return State(False, "NotMigrated", f"not migrated: {to_come} to come, the next is {missing[0]}")
        if migrator:
            return State(False, "NotMigrated", f"all migrations are applied, by one that has not ended: {migrator}")
        return State(alive >= self.stable, "", f"ready, without interruption for {alive:.0f} s")

    def migrations_to_come(self, connection: Any) -> tuple[list[str], str | None]:
        """The migrations that the database lacks, or who applied the last of them and is still at what comes after it.

        Where it lacks none from the start, whoever migrates it does so by other code."""
        if self.migrated:
            return [], None
        missing = unapplied_migrations(connection)
        if missing:
            self.lacked_some = True
            return missing, None
        migrator = None
        if self.lacked_some:
            with suppress(Error):  # who may not ask, waits for the migrations alone
                migrator = lock_holder(connection, settings.DJK8S_MIGRATE_LOCK_ID)
        self.migrated = migrator is None
        return [], migrator

    def seconds_without_answer(self) -> float:
        """Seconds since it was asked, while it does not answer."""
        asked_at = self.asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at

    def current_state(self) -> State:
        """How it stands, also while it does not answer."""
        if self.seconds_without_answer() > SILENT_SECONDS:
            return State(False, UNREACHABLE, "not ready: it has stopped to answer")
        return self.state


def sidecar_advice(connection: Any) -> str:
    """What to do where a database is at the pod's own address, and may be reached by a container that cannot be up
    before this one has ended. Else empty."""
    sidecars = run_context().get("classicSidecars")
    address = server_address(connection)
    local = address in ("localhost", "::1") or address.startswith(("127.", "/"))
    if not sidecars or not local or "," in address:
        return ""
    listed = ", ".join(map(str, sidecars))
    return (
        f"the container that serves {address} starts after init containers (it is one of: {listed}); make it a native"
        " sidecar, which is an init container with restartPolicy Always"
    )


def watch(databases: Sequence[DatabaseMonitor], timeout: float, changed: Event, say: Callable[[str], object]) -> None:
    """Looks at databases until all of them are ready.

    :raises TaskError: as `wait` does.
    """
    for each in databases:
        each.start()
    try:
        wait(databases, timeout, changed, say)
    finally:
        for each in databases:
            each.stop()


def wait(databases: Sequence[DatabaseMonitor], timeout: float, changed: Event, say: Callable[[str], object]) -> None:
    """Returns when all of them are done.

    :raises TaskError: DatabaseUnreachable or NotMigrated, when the time is up.
    """
    started = time.monotonic()
    announced: dict[str, str] = {}
    while True:
        changed.clear()
        states = {each.alias: each.current_state() for each in databases}
        for each in databases:
            if each.error is not None:
                raise each.error
            # Words that only repeat themselves tell nobody anything.
            state = states[each.alias]
            ready, _, message = state
            headline = message if ready else message.split(",")[0]
            if state is not UNKNOWN and announced.get(each.alias) != headline:
                say(f"[{time.monotonic() - started:4.0f} s] database {each.alias!r}: {message}")
                announced[each.alias] = headline
        if all(state.ready for state in states.values()):
            return
        # One that is ready has the time that it takes to be seen as stable.
        missing = {alias: state for alias, state in states.items() if state.reason}
        left = timeout - (time.monotonic() - started)
        if missing and left <= 0:
            listed = "; ".join(f"{alias!r}: {state.message}" for alias, state in missing.items())
            raise TaskError(next(iter(missing.values())).reason, f"waited {timeout:g} s for database {listed}")
        changed.wait(min(1.0, left) if left > 0 else 1.0)
