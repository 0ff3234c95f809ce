"""What a command tells the operator: one JSON line in the container's termination log.

Structured fields stand as they are; free text never leaves without its secrets taken out. Parses on
Python 3.6, as it has to say what is missing there.
"""

import json
import os
import sys
from contextlib import suppress
from typing import Any, Dict, Iterable, List, NoReturn, Optional, Tuple

from .failure import DEFAULT_REASON, UNREADABLE, is_words, reason_of
from .registered_secrets import forget_secrets
from .run_context import run_context

PATH = "/dev/termination-log"
PATH_VARIABLE = "DJK8S_TERMINATION_LOG"
LIMIT = 1500
SHORTEST_MESSAGE = 100
NAMES_AT_EACH_END = 5


def log_path() -> str:
    """The container's terminationMessagePath, which only the operator leaves at its default for sure."""
    return PATH if run_context() else os.environ.get(PATH_VARIABLE) or PATH


def ends_the_container() -> bool:
    """Whether the container ends with this command, as far as anybody knows. A success that is followed by a server, as
    in `lockedmigrate && exec gunicorn`, would stand there as the last words of its crash."""
    return bool(run_context()) or os.getpid() == 1 or bool(os.environ.get(PATH_VARIABLE))


class Report:
    """The result of one command, filled in while it runs."""

    def __init__(self) -> None:
        self.action = ""
        self.count: Optional[int] = None
        self.names: List[str] = []
        self.databases: List[Dict[str, str]] = []
        self.settings = ""  # those that are loaded, where it is not this process that loads them
        self.failure: Optional[Tuple[str, str]] = None
        self.advice = ""
        self.started = ""
        self.steps: List[Dict[str, Any]] = []
        self.pipe: Optional[Pipe] = None  # where it is written; none: where the kubelet reads it
        self.unfinished = False

    def record_success(self, action: str, names: Iterable[object] = (), count: Optional[int] = None) -> None:
        """Says what was done to what."""
        listed = [str(name) for name in names]
        self.action = action
        self.count = len(listed) if count is None else count
        if len(listed) > 2 * NAMES_AT_EACH_END:
            listed = listed[:NAMES_AT_EACH_END] + listed[-NAMES_AT_EACH_END:]
        self.names = listed

    def add_database(self, connection: Any) -> None:
        """Says which database was used."""
        from .server_address import server_address

        settings = connection.settings_dict
        self.databases.append(
            {
                "alias": connection.alias,
                "engine": settings.get("ENGINE", "").rsplit(".", 1)[-1],
                "host": server_address(connection),
                "name": str(settings.get("NAME") or ""),
            }
        )

    def begin_steps(self, names: Iterable[str], first: int) -> None:
        """Says which commands are to run, one after the other, from the first of them, which is counted from 1."""
        self.action = "executed"
        self.count = 0
        self.steps = [
            {"name": name, "state": "Skipped" if number < first else "NotRun"} for number, name in enumerate(names, 1)
        ]

    def end_step(self, number: int, code: int, seconds: int, line: Dict[str, Any]) -> None:
        """Says how one of them ended, counted from 1, and what it reported, as far as that is about the project."""
        step = self.steps[number - 1]
        step.update(state="Failed" if code else "Succeeded", exitCode=code, seconds=seconds)
        self.settings = line.get("settings") or self.settings
        self.databases += [each for each in line.get("databases") or [] if each not in self.databases]
        if not code:
            self.count = (self.count or 0) + 1
            return
        reason = str(line.get("reason") or DEFAULT_REASON)
        message = str(line.get("message") or "exit code %d" % code)
        step.update(reason=reason)
        self.failure = (reason, "step %d of %d, %s: %s" % (number, len(self.steps), step["name"], message))

    def record_failure(self, error: BaseException) -> None:
        """Says what went wrong; the first word counts, as others only follow from it."""
        if self.failure is None:
            self.failure = (reason_of(error), describe(error))
            self.advice = advice_for(error)

    def record_exit(self, end: SystemExit) -> None:
        """Says how the command ended, where it said nothing itself: in its words, or by what it was dealing with."""
        if self.failure is not None or not exit_status(end.code):
            return
        cause = None if end.__suppress_context__ else end.__context__
        if not isinstance(end.code, int):
            self.failure = (DEFAULT_REASON, said_at_end(end.code, cause))
        elif cause is not None and is_words(cause):
            self.record_failure(cause)
        else:
            after = "" if cause is None else ", at " + describe(cause)
            self.failure = (DEFAULT_REASON, "the command ended with exit code %d%s" % (end.code, after))

    def record_misuse(self, message: str) -> None:
        """Says what is wrong about the command line."""
        if self.failure is None:
            self.failure = (DEFAULT_REASON, message + " (exit code 2)")

    def line(self) -> bytes:
        """The JSON line, within the limit."""
        data: Dict[str, Any] = {"ok": self.failure is None}
        advice = "; " + self.advice if self.advice else ""
        if self.failure is not None:
            reason, message = self.failure
            data.update(reason=reason, message=without_secrets(message))
        if self.failure is None or self.action:  # what was done before it failed stays done
            data.update(action=self.action, count=self.count, names=self.names)
        data["settings"] = self.settings or os.environ.get("DJANGO_SETTINGS_MODULE", "")
        data["databases"] = [database_without_credentials(database) for database in self.databases]
        if self.started:
            data["started"] = self.started
        if self.steps:
            data["steps"] = self.steps
        # What is too long is halved, and then whole fields give way, as a line that was cut is no line. What somebody
        # is to do about a failure stays longest.
        most = LIMIT + len(_dump(self.steps))  # which are as many as the resource has
        limit = most - len(_dump(advice)) if self.failure is not None else most
        while len(_dump(data)) > limit and len(data.get("message", "")) > SHORTEST_MESSAGE:
            data["message"] = data["message"][: len(data["message"]) // 2] + "…"
        if self.failure is not None:
            data["message"] += advice
        for field, empty in (
            ("started", ""),
            ("names", []),
            ("databases", []),
            ("settings", ""),
            ("message", ""),
            ("reason", ""),
        ):
            if field in data and len(_dump(data)) > most:
                data[field] = empty
        return _dump(data)

    def write(self, path: Optional[str] = None) -> None:
        """Writes the line where the kubelet reads it, if this is a container that has such a place."""
        if self.unfinished:
            return
        if self.pipe is not None and path is None:
            self.pipe.write(self.line() + b"\n")
            return
        path = path or log_path()
        told = self.failure is not None or ends_the_container()
        if not os.path.exists(path) or not told:
            return
        line = self.line() + b"\n"  # before the log is opened, and emptied
        try:
            with open(path, "wb") as log:
                log.write(line)
        except OSError as error:
            complain("cannot write %s: %s" % (path, error))


class Pipe:
    """Where the process of a step reports. A project may have closed it, and have a file of its own by its number."""

    def __init__(self, number: int) -> None:
        self.number, self.identity = number, self._identity(number)

    @staticmethod
    def _identity(number: int) -> Tuple[int, int]:
        found = os.fstat(number)
        return found.st_dev, found.st_ino

    def write(self, line: bytes) -> None:
        """Writes a line, if it is there."""
        with suppress(OSError):
            if self._identity(self.number) == self.identity:
                os.write(self.number, line)


current = Report()


def reset() -> None:
    """Forgets what an earlier command of this process said."""
    global current
    before, current = current, Report()
    current.started, current.pipe = before.started, before.pipe  # of the process, whichever command it runs
    forget_secrets()


def begin_in_step(descriptor: int) -> None:
    """Begins what the process of a step says, which the one that runs the steps reads there."""
    global current
    before, current = current, Report()
    current.started, current.pipe = before.started, Pipe(descriptor)


def said_at_end(code: object, cause: Optional[BaseException]) -> str:
    """What a program gave to `sys.exit` in place of a code, in words.

    :param cause: what it was dealing with.
    """
    if isinstance(code, BaseException):
        return describe(code)
    try:
        words = str(code)
    except Exception as unspeakable:
        return "it ended with an object without words: %s" % type(unspeakable).__name__
    if cause is None:
        return words
    try:
        from .row_values import redact_known_errors
    except Exception:
        return UNREADABLE % type(cause).__name__
    return redact_known_errors(words, cause)


def describe(error: BaseException) -> str:
    """An exception in words. What makes them is loaded where something failed, and not at every start."""
    try:
        from . import error_text
    except Exception:  # the project has closed the file that this package is read from, or reads another by its number
        return UNREADABLE % type(error).__name__
    return error_text.describe(error)


def without_secrets(text: object) -> str:
    """A text without its secrets; what finds them is loaded as late, too."""
    try:
        from .scrub import scrubbed
    except Exception as error:
        return UNREADABLE % type(error).__name__
    return scrubbed(text)


def database_without_credentials(database: Dict[str, str]) -> Dict[str, str]:
    """A database as the report tells it; whatever may hold credentials is left out where they cannot be found."""
    try:
        from .scrub import without_credentials
    except Exception:
        return {**database, "host": "", "name": ""}
    return {**database, "host": without_credentials(database["host"]), "name": without_credentials(database["name"])}


def advice_for(error: BaseException) -> str:
    """What to do about an exception, where that is known."""
    try:
        from . import entrypoint
    except Exception:
        return ""
    return entrypoint.advice_for(error)


def exit_status(code: object) -> int:
    """The exit status that a program means by what it gave to `sys.exit`. The system keeps the lowest byte alone: 256,
    as by a program that counts its errors, would be a success."""
    if code is None:
        return 0
    if not isinstance(code, int):
        return 1
    return code & 0xFF or int(code != 0)


def fail_early(reason: str, message: str, advice: str = "") -> NoReturn:
    """Ends the process before there is anything that could fail by itself."""
    current.failure = (reason, message)
    current.advice = advice
    current.write()
    complain("; ".join([message, advice] if advice else [message]))
    sys.exit(1)


def say(message: object) -> None:
    """Prints, if anybody can be told; what was done stays done where nobody can."""
    _print(message, sys.stdout)


def complain(message: object) -> None:
    """The same for errors."""
    _print(message, sys.stderr)


def _print(message: object, stream: Any) -> None:
    with suppress(Exception):  # it is closed, full, or none; and an object may fail at its own words
        print(message, file=stream, flush=True)


def _dump(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
