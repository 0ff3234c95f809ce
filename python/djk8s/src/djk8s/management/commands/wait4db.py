"""Waits for a database."""

from django_operator_tasks.management.commands.wait4db import Command, wait_for_database

__all__ = ["Command", "wait_for_database"]
