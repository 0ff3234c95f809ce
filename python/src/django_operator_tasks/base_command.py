"""What the commands of this package have in common: each says what it did where a termination log exists."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import isfinite
from signal import SIGTERM, signal
from threading import current_thread, main_thread
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser

from .job import report
from .job.run_context import run_context


class ReportingCommand(BaseCommand):
    """Writes the report at the end of a command line of its own; `call_command` writes nothing."""

    from_command_line = False

    def run_from_argv(self, argv: list[str]) -> None:
        self.from_command_line = True
        report.reset()
        try:
            super().run_from_argv(argv)
        except SystemExit as end:
            report.current.record_exit(end)
            raise
        except BaseException as error:
            report.current.record_failure(error)
            raise
        finally:
            report.current.write()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        default_error = parser.error

        def error(message: str) -> Any:
            if self.from_command_line:
                report.current.record_misuse(message)
            default_error(message)

        parser.error = error  # type: ignore[method-assign, unused-ignore]
        return parser

    @contextmanager
    def exit_on_sigterm(self, *, in_threads: bool = False) -> Iterator[None]:
        """While the block waits, SIGTERM ends the process: also the first one of a container, which would not end by
        itself.

        :param in_threads: what it waits for runs in other threads; else a driver at its work would delay the end,
            where the default of other processes ends them at once.
        """
        needed = in_threads or os.getpid() == 1
        if not needed or not self.from_command_line or current_thread() is not main_thread():
            yield
            return
        before = signal(SIGTERM, exit_on_signal)
        try:
            yield
        finally:
            if before is not None:
                signal(SIGTERM, before)

    def write_and_flush(self, text: str) -> None:
        """Tells at once, also where the output is no terminal. What was done stays done where nobody can be told."""
        with suppress(OSError, ValueError):
            try:
                self.stdout.write(text)
            except UnicodeError:
                self.stdout.write(text.encode("ascii", "backslashreplace").decode("ascii"))
            self.stdout.flush()


def exit_on_signal(number: int, frame: object) -> NoReturn:
    """Ends the process as a signal does. The operator tells what became of a Job by its pod, not by a command that
    was still waiting."""
    report.current.unfinished = bool(run_context())
    sys.exit(128 + number)


def add_seconds_option(parser: CommandParser, short: str, long: str, default: float, help: str) -> None:
    """An option that is a number of seconds."""
    help = f"{help}, default: {default}"
    parser.add_argument(short, long, type=parse_number, default=default, metavar="SEC", help=help)


def parse_number(text: str) -> float:
    """A number; whole ones stay whole in messages."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return int(value) if value.is_integer() else value


def unique_values(value: str | Sequence[str] | None, default: Any) -> list[str]:
    """The values of an option that may be given several times, without repetitions."""
    values = [value] if isinstance(value, str) else value or ([default] if isinstance(default, str) else default)
    return list(dict.fromkeys(values))
