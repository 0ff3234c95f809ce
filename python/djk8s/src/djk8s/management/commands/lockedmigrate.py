"""`migrate` under a lock."""

from typing import Any

from django_operator_tasks.management.commands.lockedmigrate import MigrateCommand

__all__ = ["MigrateCommand"]


def __getattr__(name: str) -> Any:
    """`Command` is made when it is asked for, as the project's own `migrate` may derive from it."""
    if name == "Command":
        from django_operator_tasks.management.commands import lockedmigrate

        return lockedmigrate.Command
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
