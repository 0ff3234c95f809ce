"""Puts the commands of this package among those that a project's command line finds, and looks after the one that it
runs. Commands that the project calls by itself stay its own affair."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from . import report
from .failure import TaskFailure

PACKAGE = "django_operator_tasks"
# Commands that the operator means when it names them; the others give way to the project's own.
OVERRIDING_COMMANDS = ("ensureadmin", "lockedmigrate")
FALLBACK_COMMANDS = ("probe", "wait4db")
MANAGEMENT = "django.core.management"


class AfterImport(MetaPathFinder):
    """Calls a function with a module as soon as somebody has imported it. Nothing is imported earlier than without:
    gevent and its like have to come before Django."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]) -> None:
        self.name, self.then = name, then
        self.searching = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name or self.searching:
            return None
        self.searching = True
        try:
            spec = importlib.util.find_spec(fullname)  # as the others find it
        finally:
            self.searching = False
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_call(module: ModuleType) -> None:
            execute(module)
            if module.__name__ == self.name and self in sys.meta_path:  # a loader of an archive is that of others too
                sys.meta_path.remove(self)
                self.then(module)

        loader.exec_module = execute_and_call
        return spec


def call_after_import(name: str, then: Callable[[ModuleType], None]) -> None:
    """Calls a function with a module now, or as soon as somebody has imported it."""
    if name in sys.modules:
        then(sys.modules[name])
    else:
        sys.meta_path.insert(0, AfterImport(name, then))


class CommandLine:
    """Django's command line in this process, as far as it has been seen."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.reached = False

    def watch(self) -> None:
        """Listens to it from when Django is there."""
        call_after_import(MANAGEMENT, self.install)

    def install(self, management: Any) -> None:
        """Adds the commands to those of its command line."""
        utility, base = management.ManagementUtility, management.BaseCommand
        execute, fetch_command = utility.execute, utility.fetch_command
        run_from_argv, execute_command = base.run_from_argv, base.execute

        def execute_and_note(itself: Any) -> Any:
            self.reached = True
            return execute(itself)

        def run_from_argv_and_note(itself: Any, argv: list[str]) -> Any:
            self.reached = True  # also of a program that finds its commands in its own way
            return run_from_argv(itself, argv)

        def execute_command_and_note(itself: Any, *args: Any, **options: Any) -> Any:
            from django.apps import apps

            # Also a program that only calls `call_command` with this one; not what is called while Django starts.
            self.reached = self.reached or (apps.ready and type(itself).__module__.endswith(f".{self.command}"))
            return execute_command(itself, *args, **options)

        def fetch_ours_or_theirs(itself: Any, subcommand: str) -> Any:
            if is_ours(management, subcommand):
                from django.conf import settings

                settings.INSTALLED_APPS  # noqa: B018 - tells what is wrong with the settings, if something is
                return management.load_command_class(PACKAGE, subcommand)
            return look_after(fetch_command(itself, subcommand), subcommand)

        utility.execute, utility.fetch_command = execute_and_note, fetch_ours_or_theirs
        base.run_from_argv, base.execute = run_from_argv_and_note, execute_command_and_note

    def require_reached(self, program: str) -> None:
        """:raises TaskFailure: NothingRan, if the program ended without Django's command line."""
        if not self.reached:
            raise TaskFailure(
                "NothingRan",
                f"{program} ended without running a management command: it does not call Django's"
                " execute_from_command_line, as manage.py does, or does so in another process",
            )


def is_ours(management: Any, subcommand: str) -> bool:
    """Whether a name on the command line means a command of this package."""
    return subcommand in OVERRIDING_COMMANDS or (
        subcommand in FALLBACK_COMMANDS and subcommand not in management.get_commands()
    )


def look_after(command: Any, subcommand: str) -> Any:
    """The command; collectstatic, of whatever application, with a check before and a count after."""
    if subcommand == "collectstatic":
        execute = command.execute

        def execute_and_count(*args: Any, **options: Any) -> Any:
            from .durability import require_durable_static_root

            if not options.get("dry_run"):
                require_durable_static_root()
            output = execute(*args, **options)
            changed = sum(len(getattr(command, name, ())) for name in ("copied_files", "symlinked_files"))
            unmodified = len(getattr(command, "unmodified_files", ()))
            if options.get("dry_run"):
                report.current.record_success("planned", count=changed + unmodified)
            elif unmodified and not changed:
                report.current.record_success("unmodified", count=unmodified)
            else:
                report.current.record_success("collected", count=changed + unmodified)
            return output

        command.execute = execute_and_count
    return command
