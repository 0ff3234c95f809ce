"""The command of this name."""

from django_operator_tasks.management.commands.ensureadmin import Command

__all__ = ["Command"]
