"""Reads what lies in the image, as far as it is a file of a sensible size. Parses on Python 3.6."""

import os
import stat
import sys
from typing import Iterable, List, Optional

LARGEST = 256 * 1024


def read_text(path: str) -> Optional[str]:
    """The text of a regular file; None of anything else, of which nobody knows whether reading it ends."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            return None
        with open(path, "rb") as file:
            content = file.read(LARGEST)
    except (OSError, ValueError):
        return None
    return None if b"\0" in content else content.decode("utf-8", "replace")


def which(name: str, path: Optional[str], directory: str) -> Optional[str]:
    """The file that a program's name stands for.

    :param path: the variable PATH at its start.
    :param directory: where it starts.
    """
    if "/" in name:
        file = os.path.join(directory, name)
        return file if os.path.isfile(file) else None
    for each in (path or os.defpath).split(os.pathsep):
        file = os.path.join(directory, each, name)
        if os.path.isfile(file) and os.access(file, os.X_OK):
            return file
    return None


def unique(paths: Iterable[str]) -> List[str]:
    """Each once, in order."""
    return list(dict.fromkeys(os.path.normpath(path) for path in paths if path))


def parents(directory: str) -> List[str]:
    """The directories above one, the nearest first."""
    found = []
    while os.path.dirname(directory) != directory:
        directory = os.path.dirname(directory)
        found.append(directory)
    return found


def interpreter_identity(path: str) -> Optional[str]:
    """What makes an interpreter another one: its directory, and the file behind its name."""
    path = os.path.abspath(path)
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        return None
    return os.path.dirname(path) + "\0" + os.path.realpath(path)


def is_current_interpreter(path: str) -> bool:
    """Whether it is the one that runs this."""
    return bool(sys.executable) and interpreter_identity(path) == interpreter_identity(sys.executable)
