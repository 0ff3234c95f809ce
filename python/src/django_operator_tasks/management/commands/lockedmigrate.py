"""`migrate`, as the project itself has it, under a lock that the database holds."""

from __future__ import annotations

import sys
import threading
import time
from argparse import SUPPRESS, ArgumentError
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.commands.migrate import Command as MigrateCommand
from django.db import DEFAULT_DB_ALIAS, connections

from ...base_command import ReportingCommand, unique_values
from ...conf import lock_alias, settings
from ...db.connections import is_between_transactions
from ...db.migration_changes import MigrationChanges
from ...db.waiting import wait_for_database
from ...errors import TaskError
from ...job import report
from ...job.durability import require_durable_database
from ...locks import migration_lock, statement_lock

AUTO, NONE = "auto", "none"
LOCK_OPTIONS = ("id", "timeout", "mode", "database")
DATABASES_KEY = "_lock_databases"  # among the options, where the project's own may be called anything


if TYPE_CHECKING:
    Migrate = MigrateCommand
else:
    Migrate = object


class LockedMigrateMixin(ReportingCommand, Migrate):
    """Adds the lock to the class of a `migrate`."""

    help = "Run Django migrations under a lock in the database; safe across multiple processes."
    default_database: Any = DEFAULT_DB_ALIAS
    takes_lock_itself = False  # the project's own `migrate`, by an option of its own for the lock's number

    def add_arguments(self, parser: CommandParser) -> None:
        databases = SeveralDatabases(parser)
        super().add_arguments(databases)  # type: ignore[arg-type]
        if not databases.has_option:
            with suppress(ArgumentError):  # a group of the parser has it
                databases.add_argument("--database", choices=tuple(connections), help="Nominates a database.")
        # What the project sets as the default, in whichever way.
        self.default_database = parser.get_default(databases.dest) or databases.default
        parser.set_defaults(**{databases.dest: None})
        self.takes_lock_itself = not add_lock_option(
            parser,
            "id",
            "-L",
            type=int,
            default=settings.DJK8S_MIGRATE_LOCK_ID,
            help="The advisory lock ID to use for migrations.",
        )
        add_lock_option(
            parser,
            "timeout",
            type=float,
            default=None,
            metavar="SEC",
            help="Seconds to wait for the lock before failing. Default: wait without end.",
        )
        add_lock_option(
            parser,
            "mode",
            choices=[AUTO, NONE],
            default=AUTO,
            help="auto: the lock that the database's engine has; none: no lock. Default: auto.",
        )
        add_lock_option(
            parser,
            "database",
            choices=tuple(connections),
            default=None,
            help="Takes the lock in this database instead, such as one that goes past a pooler."
            " Default: the setting DJK8S_MIGRATE_LOCK_DATABASE, else the database that is migrated.",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        databases = unique_values(options.get("database"), self.default_database)
        return super().execute(*args, **{**options, "database": databases[0], DATABASES_KEY: databases})

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        """What Django's system checks look at before."""
        return {**super().get_check_kwargs(options), "databases": options[DATABASES_KEY]}

    def handle(self, *args: Any, **options: Any) -> None:
        lock_id, timeout, mode, lock_database = (options.pop(f"migration_lock_{name}") for name in LOCK_OPTIONS)
        if timeout is not None and not timeout >= 0:
            raise CommandError("--lock-timeout must be 0 or more seconds")
        databases = options.pop(DATABASES_KEY)
        # The project's `migrate` may call this command, which runs the project's `migrate`.
        migrate = django_migrate if migrating_databases.aliases else super().handle
        changes = MigrationChanges(options, several_databases=len(databases) > 1)
        for database in databases:
            options["database"] = database
            if database in migrating_databases.aliases:
                migrate(*args, **options)
                continue
            connection = connections[database]
            report.current.add_database(connection)
            if options.get("plan") or options.get("check_unapplied"):
                self.run_read_only(migrate, *args, **options)
                continue
            require_durable_database(connection)
            say = self.write_and_flush if options.get("verbosity", 1) else lambda text: None
            started = time.monotonic()
            if self.from_command_line and is_between_transactions(connection):
                connection.close()  # what is silent for as long as we wait may be cut; a caller's session is theirs
            with ExitStack() as stack:
                with self.exit_on_sigterm():
                    if mode != NONE:
                        holder = connections[lock_database or lock_alias(database) or database]
                        shared = self.shares_lock(connection, holder)
                        stack.enter_context(migration_lock(holder, lock_id, timeout, say, in_its_session=shared))
                    wait_for_database(connection)
                    if mode != NONE:
                        left = None if timeout is None else round(max(0, timeout - time.monotonic() + started), 1)
                        stack.enter_context(statement_lock(connection, lock_id, left, say))
                with migrating_databases.add(database), changes.record(connection):
                    run_to_completion(migrate, *args, **options)

    def shares_lock(self, connection: Any, holder: Any) -> bool:
        """Whether the project's own `migrate` is about to take the lock once more, in the session that is to hold it.

        :raises TaskError: LockUnsupported, if another session may be the one that it would wait for.
        """
        if self.takes_lock_itself and holder is not connection and holder.vendor == connection.vendor == "postgresql":
            raise TaskError(
                "LockUnsupported",
                f"the project's own `migrate` takes the lock itself, in database {connection.alias!r}, and would wait"
                f" for ours without end if {holder.alias!r} is the same one. Leave out --lock-database and the setting"
                " DJK8S_MIGRATE_LOCK_DATABASE, or take no lock of ours, by --lock-mode none (spec.lock.mode: None)",
            )
        return self.takes_lock_itself and holder is connection

    def run_read_only(self, migrate: Callable[..., Any], *args: Any, **options: Any) -> None:
        """Changes nothing, so it takes no lock; --check ends the process if there is something to do."""
        try:
            migrate(*args, **options)
        except SystemExit as end:
            if end.code and self.from_command_line:
                pending = TaskError("NotMigrated", f"database {options['database']!r} has migrations to come")
                report.current.record_failure(pending)
            raise
        report.current.record_success("planned" if options.get("plan") else "checked")


class MigratingDatabases(threading.local):
    """The databases that this thread migrates just now."""

    def __init__(self) -> None:
        self.aliases: frozenset[str] = frozenset()

    @contextmanager
    def add(self, alias: str) -> Iterator[None]:
        """While the block runs."""
        before = self.aliases
        self.aliases = before | {alias}
        try:
            yield
        finally:
            self.aliases = before


migrating_databases = MigratingDatabases()


def django_migrate(*args: Any, **options: Any) -> None:
    """Django's own `migrate`, also for options of one that has others."""
    command = MigrateCommand()
    defaults = vars(command.create_parser("manage.py", "migrate").parse_args([]))
    command.execute(*args, **{**defaults, **options})


def run_to_completion(migrate: Callable[..., Any], *args: Any, **options: Any) -> None:
    """A migration that ends the process has not migrated, whatever exit code it gives."""
    try:
        migrate(*args, **options)
    except SystemExit as end:
        if end.code:
            raise
        raise CommandError("a migration, or who listens to it, ended the process before its end") from end


class SeveralDatabases:
    """The parser for the project's own `migrate`, whose option --database may be given several times."""

    def __init__(self, parser: CommandParser) -> None:
        self.parser = parser
        self.has_option = False
        self.default: Any = DEFAULT_DB_ALIAS
        self.dest = "database"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parser, name)

    def add_argument(self, *flags: Any, **kwargs: Any) -> Any:
        if "--database" not in flags:
            return self.parser.add_argument(*flags, **kwargs)
        if kwargs.get("action", "store") == "store":
            kwargs["action"] = "extend" if kwargs.get("nargs") else "append"
        more = "May be given several times: they are migrated in that order, each under a lock."
        kwargs["help"] = f"{kwargs.get('help') or ''} {more}".strip()
        self.default = kwargs.pop("default", None) or DEFAULT_DB_ALIAS
        option = self.parser.add_argument(*flags, **kwargs)
        self.has_option, self.dest = True, option.dest
        return option


def add_lock_option(parser: CommandParser, name: str, *short: str, **kwargs: Any) -> bool:
    """An option of this command, `--migration-lock-…`, for short `--lock-…` where the project's own `migrate` has none
    of that name; whether it has none."""
    dest, long, medium = f"migration_lock_{name}", f"--migration-lock-{name}", f"--lock-{name}"
    try:
        parser.add_argument(*short, medium, long, dest=dest, **kwargs)
        return True
    except ArgumentError:
        parser.add_argument(long, dest=dest, **kwargs)
    free = True
    for flag in (*short, medium):
        try:
            parser.add_argument(flag, dest=dest, **{**kwargs, "default": SUPPRESS, "help": SUPPRESS})
        except ArgumentError:
            free = free and flag != medium
    return free


@cache
def with_lock(migrate: Any) -> Any:
    """The class of a `migrate`, with the lock; itself if it has one."""
    if issubclass(migrate, LockedMigrateMixin):
        return migrate
    return type(
        "Command", (LockedMigrateMixin, migrate), {"__module__": __name__, "__doc__": LockedMigrateMixin.__doc__}
    )


def project_migrate() -> Any:
    """The class of the project's own `migrate`; django-tenants and others bring one."""
    app: Any = get_commands()["migrate"]
    if isinstance(app, BaseCommand):
        return type(app)
    module = sys.modules.get(f"{app}.management.commands.migrate")
    if module is not None and getattr(module.__spec__, "_initializing", False):
        return MigrateCommand  # it imports this command just now, to derive from it
    return type(load_command_class(app, "migrate"))


if TYPE_CHECKING:
    Command = LockedMigrateMixin


def __getattr__(name: str) -> Any:
    """`Command` is made when it is asked for, as the project's own `migrate` may derive from it."""
    if name == "Command":
        return with_lock(project_migrate())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
