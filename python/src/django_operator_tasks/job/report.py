"""What a command tells the operator: one JSON line in the container's termination log.

Structured fields stand as they are; free text never leaves without its secrets taken out. Parses on
Python 3.6, as it has to say what is missing there.
"""

import json
import os
import sys
from typing import Any, Dict, Iterable, List, NoReturn, Optional, Tuple

from .error_text import describe
from .run_context import run_context
from .scrub import forget_secrets, scrubbed, without_credentials

PATH = "/dev/termination-log"
PATH_VARIABLE = "DJK8S_TERMINATION_LOG"
LIMIT = 1500
SHORTEST_MESSAGE = 100
NAMES_AT_EACH_END = 5


def log_path() -> str:
    """The container's terminationMessagePath, which only the operator leaves at its default for sure."""
    return PATH if run_context() else os.environ.get(PATH_VARIABLE) or PATH


class Report:
    """The result of one command, filled in while it runs."""

    def __init__(self) -> None:
        self.action = ""
        self.count: Optional[int] = None
        self.names: List[str] = []
        self.databases: List[Dict[str, str]] = []
        self.failure: Optional[Tuple[str, str]] = None
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
        settings = connection.settings_dict
        self.databases.append(
            {
                "alias": connection.alias,
                "engine": settings.get("ENGINE", "").rsplit(".", 1)[-1],
                "host": without_credentials(settings.get("HOST")),
                "name": without_credentials(settings.get("NAME")),
            }
        )

    def record_failure(self, error: BaseException, reason: Optional[str] = None) -> None:
        """Says what went wrong; the first word counts, as others only follow from it."""
        if self.failure is None:
            self.failure = (reason or getattr(error, "reason", None) or "CommandFailed", describe(error))

    def record_exit(self, code: object) -> None:
        """Says with what exit code the command ended, where it said nothing itself."""
        if self.failure is None:
            words = "the command ended with exit code %s" % code if isinstance(code, int) else str(code)
            self.failure = ("CommandFailed", words)

    def line(self) -> bytes:
        """The JSON line, within the limit."""
        data: Dict[str, Any] = {}
        if self.failure is not None:
            reason, message = self.failure
            data = {"ok": False, "reason": reason, "message": scrubbed(message)}
        else:
            data = {"ok": True, "action": self.action, "count": self.count, "names": self.names}
        data["settings"] = os.environ.get("DJANGO_SETTINGS_MODULE", "")
        data["databases"] = self.databases
        # What is too long is halved, and then whole fields give way, as a line that was cut is no line.
        while len(_dump(data)) > LIMIT and len(data.get("message", "")) > SHORTEST_MESSAGE:
            data["message"] = data["message"][: len(data["message"]) // 2] + "…"
        for field, empty in (("names", []), ("databases", []), ("settings", ""), ("message", "")):
            if field in data and len(_dump(data)) > LIMIT:
                data[field] = empty
        return _dump(data)

    def write(self, path: Optional[str] = None) -> None:
        """Writes the line where the kubelet reads it, if this is a container that has such a place."""
        path = path or log_path()
        if self.unfinished or not os.path.exists(path):
            return
        try:
            with open(path, "wb") as log:
                log.write(self.line() + b"\n")
        except OSError as error:
            print("cannot write %s: %s" % (path, error), file=sys.stderr)


current = Report()


def reset() -> None:
    """Forgets what an earlier command of this process said."""
    global current
    current = Report()
    forget_secrets()


def fail_early(reason: str, message: str) -> NoReturn:
    """Ends the process before there is anything that could fail by itself."""
    current.failure = (reason, message)
    current.write()
    print(message, file=sys.stderr)
    sys.exit(1)


def _dump(data: Dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
