"""`migrate`, as the project itself has it, under a lock that the database holds."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import DEFAULT_DB_ALIAS, connections

from ...base_command import ReportingCommand, unique_values
from ...conf import lock_alias, settings
from ...db.connections import is_between_transactions
from ...db.migration_state import applied_migrations
from ...db.waiting import wait_for_database
from ...errors import TaskError
from ...job import report
from ...job.durability import require_durable_database
from ...job.run_context import run_context
from ...locks import migration_lock, statement_lock

AUTO, NONE = "auto", "none"
OWN_OPTIONS = ("--lock-id", "--lock-timeout", "--lock-mode", "--lock-database")
DATABASES_KEY = "_lock_databases"  # among the options, where the project's own may be called anything
STORE, APPEND, EXTEND = argparse._StoreAction, argparse._AppendAction, argparse._ExtendAction


if TYPE_CHECKING:
    Migrate = DjangoMigrate
else:
    Migrate = object


class LockedMigrateMixin(ReportingCommand, Migrate):
    """Adds the lock to the class of a `migrate`."""

    help = "Run Django migrations under a lock in the database; safe across multiple processes."
    default_database: Any = DEFAULT_DB_ALIAS

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        self.default_database = allow_several_databases(parser)
        self.own = OwnOptions(parser)
        self.own.add(
            "-L",
            "--lock-id",
            type=int,
            default=settings.DJK8S_MIGRATE_LOCK_ID,
            help="The advisory lock ID to use for migrations.",
        )
        self.own.add(
            "--lock-timeout",
            type=float,
            default=None,
            metavar="SEC",
            help="Seconds to wait for the lock before failing. Default: wait without end.",
        )
        self.own.add(
            "--lock-mode",
            choices=[AUTO, NONE],
            default=AUTO,
            help="auto: the lock that the database's engine has; none: no lock. Default: auto.",
        )
        self.own.add(
            "--lock-database",
            choices=tuple(connections),
            default=None,
            help="Takes the lock in this database instead, such as one that goes past a pooler."
            " Default: the setting DJK8S_MIGRATE_LOCK_DATABASE, else the database that is migrated.",
        )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if run_context():  # the operator means this command's options, whatever the project's are called
            parse = parser.parse_args
            parser.parse_args = lambda args=None, *more: parse(  # type: ignore[method-assign, assignment]
                [self.own.renamed(word) for word in args or ()], *more
            )
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        databases = unique_values(options.get("database"), self.default_database)
        return super().execute(*args, **{**options, "database": databases[0], DATABASES_KEY: databases})

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        """What Django's system checks look at before."""
        return {**super().get_check_kwargs(options), "databases": options[DATABASES_KEY]}

    def handle(self, *args: Any, **options: Any) -> None:
        lock_id, timeout, mode, lock_database = (options.pop(self.own.dests[name]) for name in OWN_OPTIONS)
        if timeout is not None and not timeout >= 0:
            raise CommandError("--lock-timeout must be 0 or more seconds")
        databases = options.pop(DATABASES_KEY)
        # The project's `migrate` may call this command, which runs the project's `migrate`.
        migrate = django_migrate if migrating_databases.aliases else super().handle
        changes = MigrationChanges(options, prefix_alias=len(databases) > 1)
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
                        stack.enter_context(migration_lock(holder, lock_id, timeout, say))
                    wait_for_database(connection)
                    if mode != NONE:
                        left = None if timeout is None else round(max(0, timeout - time.monotonic() + started), 1)
                        stack.enter_context(statement_lock(connection, lock_id, left, say))
                with migrating_databases.add(database), changes.record(connection):
                    run_to_completion(migrate, *args, **options)

    def run_read_only(self, migrate: Callable[..., Any], *args: Any, **options: Any) -> None:
        """MigrationChanges nothing, so it takes no lock; --check ends the process if there is something to do."""
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
    command = DjangoMigrate()
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


def allow_several_databases(parser: Any) -> Any:
    """Lets --database, as the project's own `migrate` has it, be given several times; its default."""
    option = parser._option_string_actions.get("--database")
    if option is None:
        option = parser.add_argument("--database", choices=tuple(connections), help="Nominates a database.")
    default = parser.get_default(option.dest)
    parser.set_defaults(**{option.dest: None})
    kind: Any = EXTEND if option.nargs else APPEND
    if type(option) is STORE:
        option.__class__ = kind
    more = "May be given several times: they are migrated in that order, each under a lock."
    option.help = f"{option.help or ''} {more}".strip()
    return default or DEFAULT_DB_ALIAS


class OwnOptions:
    """The options of this command. One that the project's own `migrate` has as well stays the project's; ours is
    then --migration-lock-… ."""

    def __init__(self, parser: Any) -> None:
        self.parser = parser
        self.dests: dict[str, str] = {}
        self.renamed_flags: dict[str, str] = {}

    def add(self, *flags: str, **kwargs: Any) -> None:
        name = flags[-1]
        flags = tuple(flag for flag in flags if flag not in self.parser._option_string_actions)
        if name not in flags or name[2:].replace("-", "_") in {action.dest for action in self.parser._actions}:
            self.renamed_flags[name] = "--migration-" + name[2:]
            flags = (self.renamed_flags[name],)
        self.dests[name] = self.parser.add_argument(*flags, **kwargs).dest

    def renamed(self, word: str) -> str:
        name, equals, value = word.partition("=")
        return self.renamed_flags.get(name, name) + equals + value


class MigrationChanges:
    """What the migrations changed, told also when they break off half-way."""

    def __init__(self, options: dict[str, Any], *, prefix_alias: bool) -> None:
        self.prune = bool(options.get("prune"))
        self.prefix_alias = prefix_alias
        self.added: list[str] = []
        self.removed: list[str] = []

    @contextmanager
    def record(self, connection: Any) -> Iterator[None]:
        """Reads `django_migrations` before and after the block."""
        before = applied_migrations(connection)
        try:
            yield
        finally:
            after = applied_migrations(connection)
            if before is not None and after is not None:
                self.added += self.named(connection, (name for name in after if name not in before))
                self.removed += self.named(connection, (name for name in before if name not in after))
            if self.prune:
                report.current.record_success("pruned", self.removed)
            elif self.removed and not self.added:
                report.current.record_success("unapplied", self.removed)
            else:
                report.current.record_success("applied", self.added)
            if before is None or after is None:
                report.current.count = None  # nobody knows

    def named(self, connection: Any, names: Iterator[str]) -> list[str]:
        return [f"{connection.alias}: {name}" if self.prefix_alias else name for name in names]


def with_lock(migrate: type[BaseCommand]) -> type[BaseCommand]:
    """The class of a `migrate`, with the lock; itself if it has one."""
    if issubclass(migrate, LockedMigrateMixin):
        return migrate
    return type(
        "Command", (LockedMigrateMixin, migrate), {"__module__": __name__, "__doc__": LockedMigrateMixin.__doc__}
    )


def project_migrate() -> type[BaseCommand]:
    """The class of the project's own `migrate`; django-tenants and others bring one."""
    app: Any = get_commands()["migrate"]
    if isinstance(app, BaseCommand):
        return type(app)
    module = sys.modules.get(f"{app}.management.commands.migrate")
    if module is not None and getattr(module.__spec__, "_initializing", False):
        return DjangoMigrate  # it imports this command just now, to derive from it
    return type(load_command_class(app, "migrate"))


if TYPE_CHECKING:
    Command = LockedMigrateMixin


def __getattr__(name: str) -> Any:
    """`Command` is made when it is asked for, as the project's own `migrate` may derive from it."""
    if name == "Command":
        return with_lock(project_migrate())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
