"""Waits until databases answer without interruption, and have every migration that the code knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ... import report
from ...commands import Reporting, seconds, several
from ...errors import TaskError
from ...probes import answers
from ...report import scrubbed
from ...waiting import unapplied

# One attempt may not take all of the time, as it does where packets are dropped.
CONNECT_SECONDS = 10


class Command(Reporting):
    """For init containers: holds a pod back until its databases are ready."""

    help = "Waits for the database to be ready and migrated before exiting."

    def add_arguments(self, parser: CommandParser) -> None:
        seconds(parser, "-t", "--timeout", 180, "number of seconds to wait for database until timeout")
        seconds(parser, "-s", "--stable", 5, "stability timeout to wait for continuous database connection")
        seconds(parser, "-i", "--interval", 1, "number of seconds to wait between database checks")
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
        databases = several(options["database"], DEFAULT_DB_ALIAS)
        for database in databases:
            if database not in connections:
                known = ", ".join(connections)
                raise CommandError(f"--database: there is no database {database!r} in DATABASES, only {known}")
        say = self.stdout.write if options["verbosity"] else lambda text: None
        wait(
            [Watched(connections[database], options["stable"], options["ready_only"]) for database in databases],
            options["timeout"],
            options["interval"],
            say,
        )
        for database in databases:
            report.current.used(connections[database])
        report.current.did("ready", databases)


class Watched:
    """One database, looked at again and again."""

    def __init__(self, connection: BaseDatabaseWrapper, stable: float, ready_only: bool) -> None:
        self.connection, self.stable = connection, stable
        self.alive_since: float | None = None
        self.reason = "DatabaseUnreachable"
        self.state = "not looked at yet"
        self.migrated = ready_only
        self.done = False
        options = connection.settings_dict.setdefault("OPTIONS", {})
        if connection.vendor in ("postgresql", "mysql"):
            options.setdefault("connect_timeout", CONNECT_SECONDS)

    def look(self) -> None:
        """Finds out how things stand now."""
        try:
            if not answers(self.connection):
                raise Error("it does not answer")
            now = time.monotonic()
            self.alive_since = now if self.alive_since is None else self.alive_since
            alive = now - self.alive_since
            missing = [] if self.migrated else unapplied(self.connection)
            self.migrated = not missing
        except Error as error:
            self.connection.close()
            self.alive_since, self.done, self.reason = None, False, "DatabaseUnreachable"
            self.state = "not ready: " + (scrubbed(str(error)).strip() or type(error).__name__)
            return
        self.done = alive >= self.stable and not missing
        self.reason = "NotMigrated" if missing else ""
        if missing:
            self.state = f"not migrated: {len(missing)} migrations to come, the next is {missing[0]}"
        else:
            self.state = f"ready, without interruption for {alive:.0f} s"

    def stable_in(self) -> float:
        """Seconds until it counts as stable."""
        return max(0.0, (self.alive_since or 0.0) + self.stable - time.monotonic())


def wait(databases: Sequence[Watched], timeout: float, interval: float, say: Callable[[str], object]) -> None:
    """Returns when all of them are done.

    :raises TaskError: DatabaseUnreachable or NotMigrated, when the time is up.
    """
    started = time.monotonic()
    said: dict[str, str] = {}
    while True:
        for each in databases:
            each.look()
            name = each.connection.alias
            # Words that only repeat themselves tell nobody anything.
            if said.get(name) != each.state.split(",")[0] or each.done:
                say(f"[{time.monotonic() - started:4.0f} s] database {name!r}: {each.state}")
                said[name] = each.state.split(",")[0]
        open_ones = [each for each in databases if not each.done]
        if not open_ones:
            return
        missing = [each for each in open_ones if each.reason]
        if missing and time.monotonic() - started >= timeout:
            states = "; ".join(f"{each.connection.alias!r}: {each.state}" for each in missing)
            raise TaskError(missing[0].reason, f"waited {timeout:g} s for database {states}")
        # One that is ready has the time that it takes to be seen as stable.
        time.sleep(min([interval] + [each.stable_in() for each in open_ones if not each.reason]))
