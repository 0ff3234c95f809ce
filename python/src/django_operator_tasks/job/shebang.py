"""The interpreter that a script names in its first lines. Parses on Python 3.6."""

import os
import shutil
from typing import List, Tuple

LONGEST_LINE = 4096
PYTHONS = ("python", "pypy")


class NoInterpreter(Exception):
    """What a script starts with is no Python interpreter."""


def interpreter(script: str) -> List[str]:
    """The interpreter and its options, as the script's first lines have them.

    :raises NoInterpreter: with the reason, as a sentence.
    """
    first, second = first_lines(script)
    if not first.startswith("#!"):
        raise NoInterpreter("%s is no script" % script)
    words = first[2:].split()
    if words and os.path.basename(words[0]) == "sh" and second.startswith("'''exec' "):
        words = of_shell(second[len("'''exec' ") :], script)
    if words and os.path.basename(words[0]) == "env":
        words = after_env(words[1:])
    if not words or not is_python(words[0]):
        raise NoInterpreter("%s does not start with a Python interpreter" % script)
    return words


def first_lines(script: str) -> Tuple[str, str]:
    """The first two lines; empty where there are none."""
    with open(script, "rb") as file:
        first, second = (file.readline(LONGEST_LINE).decode("utf-8", "replace").strip() for _ in range(2))
    return first, second


def is_python(word: str) -> bool:
    """Whether a program's name is that of a Python interpreter."""
    return any(name in os.path.basename(word) for name in PYTHONS)


def after_env(words: List[str]) -> List[str]:
    """What `env` starts, with its options; env's own come before."""
    while words and (words[0].startswith("-") or "=" in words[0]):
        words = words[1:]
    return [shutil.which(words[0]) or words[0], *words[1:]] if words else []


def of_shell(command: str, script: str) -> List[str]:
    """The interpreter where the line is for a shell: as it is for a path that is long or has spaces, and in
    environments that can be moved, where the interpreter stands beside the script."""
    import shlex

    beside = command.rpartition('")"')[2]  # what follows "$(dirname -- "$(realpath -- "$0")")"
    if beside != command:
        return [os.path.dirname(os.path.realpath(script)) + "".join(shlex.split(beside.partition('"$0"')[0]))]
    return shlex.split(command.partition('"$0"')[0])
