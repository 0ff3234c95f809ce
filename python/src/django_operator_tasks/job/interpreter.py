"""The interpreter that a console script names: the one that its project is installed for."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

from .manage import manage_not_found

SWITCHED_VARIABLE = "DJANGO_OPERATOR_EXEC"


def switch_interpreter(script: str) -> None:
    """Goes over to the interpreter of the script, if it is another."""
    words = interpreter(script)
    # By name, not by what it links to: an interpreter knows its virtual environment by its name.
    if os.path.abspath(words[0]) == os.path.abspath(sys.executable or "") or os.environ.get(SWITCHED_VARIABLE):
        return
    if not os.access(words[0], os.X_OK):
        manage_not_found(f"{script} names the interpreter {words[0]}, which is not there")
    os.environ[SWITCHED_VARIABLE] = "1"
    os.execv(words[0], [*words, sys.argv[0], *sys.argv[1:]])


def interpreter(script: str) -> list[str]:
    """The interpreter and its options, as the script's first lines have them."""
    with open(script, "rb") as file:
        first, second = (file.readline().decode("utf-8", "replace").strip() for _ in range(2))
    if not first.startswith("#!"):
        manage_not_found(f"{script} is no script")
    words = first[2:].split()
    if words and os.path.basename(words[0]) == "sh" and second.startswith("'''exec' "):
        words = of_shell(second[len("'''exec' ") :], script)
    if words and os.path.basename(words[0]) == "env":
        words = after_env(words[1:])
    if not words or not any(name in os.path.basename(words[0]) for name in ("python", "pypy")):
        manage_not_found(f"{script} does not start with a Python interpreter")
    return words


def after_env(words: list[str]) -> list[str]:
    """What `env` starts, with its options; env's own come before."""
    while words and (words[0].startswith("-") or "=" in words[0]):
        words = words[1:]
    return [shutil.which(words[0]) or words[0], *words[1:]] if words else []


def of_shell(command: str, script: str) -> list[str]:
    """The interpreter where the line is for a shell: as it is for a path that is long or has spaces, and in
    environments that can be moved, where the interpreter stands beside the script."""
    beside = command.rpartition('")"')[2]  # what follows "$(dirname -- "$(realpath -- "$0")")"
    if beside != command:
        return [os.path.dirname(os.path.realpath(script)) + "".join(shlex.split(beside.partition('"$0"')[0]))]
    return shlex.split(command.partition('"$0"')[0])
