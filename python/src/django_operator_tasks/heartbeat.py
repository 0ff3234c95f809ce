"""Whether a Celery worker or beat of this container is alive, without the broker and without Django.

The process itself writes a file every few seconds, from its main loop: when it will write the next time.
The probe reads that file:

    python -m django_operator_tasks.heartbeat worker
    python -m django_operator_tasks.heartbeat beat

Exit codes: 0 alive, 1 not (yet) alive, 2 a wrong command line.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

DIRECTORY_VARIABLE = "DJK8S_HEARTBEAT_DIR"
ROLES = ("worker", "beat")
MAX_AGE = 60.0


def path(role: str) -> str:
    """Where the heartbeat of a role stands."""
    return os.path.join(
        os.environ.get(DIRECTORY_VARIABLE) or tempfile.gettempdir(), f"django-operator-tasks-{role}.json"
    )


def write(role: str, within: float) -> None:
    """Promises another heartbeat within so many seconds.

    :raises OSError: if the directory cannot be written.
    """
    # The clock of the machine's start: the same for all processes, and nobody sets it.
    data = {"at": time.monotonic(), "within": within}
    target = path(role)
    part = f"{target}.{os.getpid()}"
    with open(part, "w", encoding="ascii") as file:
        json.dump(data, file)
    os.replace(part, target)


def remove(role: str) -> None:
    """Forgets the heartbeat of a process that ended.

    :raises OSError: if the directory cannot be written.
    """
    with contextlib.suppress(FileNotFoundError):
        os.remove(path(role))


def read_heartbeat(role: str, max_age: float) -> dict[str, Any]:
    """What the file says: `alive`, and a `message` for people."""
    file = ""
    try:
        file = path(role)
        with open(file, encoding="ascii") as opened:
            data = json.load(opened)
        age, within = time.monotonic() - float(data["at"]), float(data["within"])
    except FileNotFoundError as error:  # also where there is no directory for temporary files
        return {"alive": False, "message": f"{role}: no heartbeat yet ({file or error})"}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"alive": False, "message": f"{role}: cannot read {file}: {error}"}
    if age < 0:
        return {"alive": False, "message": f"{role}: the heartbeat is from before this machine started"}
    alive = age <= within + max_age
    words = "heartbeat" if alive else "last heartbeat"
    message = f"{role}: {words} {age:.1f} s ago, the next was due within {within:.0f} s"
    return {"alive": alive, "message": message, "age": round(age, 1), "within": within}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = ArgumentParser(
        prog="python -m django_operator_tasks.heartbeat", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("role", choices=ROLES, help="which process to look for")
    parser.add_argument(
        "--max-age",
        type=float,
        default=MAX_AGE,
        metavar="SEC",
        help=f"seconds that a heartbeat may be overdue, default: {MAX_AGE:.0f}",
    )
    parser.add_argument("--json", action="store_true", help="say it in JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing")
    options = parser.parse_args(argv)
    found = read_heartbeat(options.role, options.max_age)
    if not options.quiet:
        print(json.dumps(found) if options.json else found["message"])
    return 0 if found["alive"] else 1


if __name__ == "__main__":
    sys.exit(main())
