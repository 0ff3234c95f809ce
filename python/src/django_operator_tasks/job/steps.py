"""Runs several commands one after the other, each in a process of its own, and stops at the first that fails.

A step's process is forked before anything of the project is loaded, so that it starts as if it were alone.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from . import report
from .commands import call_after_import
from .failure import DEFAULT_REASON, TaskFailure
from .runner import flush_output, main, prepare_start, print_whatever_the_encoding, recorded

if TYPE_CHECKING:
    from .discovery.clues import Clues
    from .start import Start

# As the Job controller waits before it starts a pod again.
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 360.0
LONGEST_LINES = 65_536  # what a pipe keeps


def run_steps(options: Namespace, words: Sequence[str], start: Start | None, clues: Clues | None) -> int:
    """Runs the steps; the exit code is that of the one that failed. Returns in each step's process as well, with the
    exit code of its command."""
    print_whatever_the_encoding()
    found: list[Start] = []
    code = recorded(lambda: found.append(prepare_start(options, start, clues)), clues)
    commands = split_commands(words, options.lengths) if found else []
    report.current.begin_steps([command[0] for command in commands], options.first)
    process = StepProcess()
    signal.signal(signal.SIGTERM, process.end)
    for number, command in enumerate(commands, 1):
        title = f"step {number} of {len(commands)}: {shlex.join(command)}"
        if number < options.first:
            report.say(f"--- {title}: succeeded in the run before")
            continue
        begun = time.monotonic()
        for attempt in range(options.retries + 1):
            report.say(f"--- {title}")
            flush_output()
            if process.fork():
                refuse = partial(refuse_moving_options, words=command[1:])
                call_after_import("django.core.management.base", refuse)
                return main(options, command, found[0], clues)
            end = process.wait()
            code = end.code
            if code == 0 or attempt == options.retries:
                break
            pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
            report.say(f"--- {title}: exit code {code}; again in {pause:.0f} s")
            time.sleep(pause)
        seconds = round(time.monotonic() - begun)
        report.say(f"--- {title}: exit code {code} after {seconds} s")
        report.current.end_step(number, code, seconds, end.line)
        if code:
            break
    report.current.write()
    flush_output()
    return code


def refuse_moving_options(base: Any, words: Sequence[str]) -> None:
    """Has options refused among the words of a command that move Django's settings or Python's path, however they are
    abbreviated: which of them the project works with is for its Deployment to say."""
    apply = base.handle_default_options
    parser = ArgumentParser(add_help=False)
    for name in ("settings", "pythonpath"):
        parser.add_argument(f"--{name}", nargs="?", const="")
    # The project's own program may add some; whether a word abbreviates one of them, the command itself knows.
    among_words, _ = parser.parse_known_args(words)

    def refuse_or_apply(options: Any) -> Any:
        for name, word in vars(among_words).items():
            if word is not None and getattr(options, name, None):
                raise TaskFailure(DEFAULT_REASON, f"the option --{name} is the target's to set; leave it out")
        return apply(options)

    base.handle_default_options = refuse_or_apply


def split_commands(words: Sequence[str], lengths: Sequence[int]) -> list[list[str]]:
    """The commands, of so many words each."""
    rest = iter(words)
    return [[next(rest) for _ in range(length)] for length in lengths]


class StepEnd(NamedTuple):
    """How a step's process ended."""

    code: int
    line: dict[str, Any]  # what it reported; empty if it could not


class StepProcess:
    """The process of the step that runs, if one does."""

    def __init__(self) -> None:
        self.pid = 0
        self.lines = -1  # where its reports are read

    def fork(self) -> bool:
        """Begins another process; true in that one, whose reports this one reads."""
        self.lines, write = os.pipe()
        with without_sigterm():
            self.pid = os.fork()
            if not self.pid:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.pid:
            os.close(write)
            return False
        os.close(self.lines)
        report.begin_in_step(write)
        return True

    def wait(self) -> StepEnd:
        """Waits for its end. What it left behind may keep the pipe open, and is not waited for."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with without_sigterm():
            _, status = os.waitpid(self.pid, 0)
            self.pid = 0
        os.set_blocking(self.lines, False)
        text = b""
        with suppress(BlockingIOError):
            text = os.read(self.lines, LONGEST_LINES)
        os.close(self.lines)
        code = os.waitstatus_to_exitcode(status)
        line = last_line(text)
        if code < 0:
            line.setdefault("message", f"ended by signal {-code}")
        return StepEnd(128 - code if code < 0 else code, line)

    def end(self, number: int, frame: FrameType | None) -> NoReturn:
        """On SIGTERM: passes it on, waits for the end, and ends as well. The first process of a container would not end
        by itself, and what it leaves behind is killed."""
        signal.signal(number, signal.SIG_IGN)
        if self.pid:
            os.kill(self.pid, number)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        report.current.unfinished = True
        sys.exit(128 + number)


@contextmanager
def without_sigterm() -> Iterator[None]:
    """SIGTERM waits meanwhile."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def last_line(text: bytes) -> dict[str, Any]:
    """The newest report."""
    for line in reversed(text.splitlines()):
        with suppress(ValueError):
            return dict(json.loads(line))
    return {}
