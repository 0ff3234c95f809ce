"""What Python sources say: which settings module they set, and whether they run management commands. Parses on
Python 3.6."""

import ast
import os
import subprocess
import sys
from typing import Dict, Optional, Sequence, Set

from ..start import SETTINGS_VARIABLE
from .files import read_text

# Not `call_command`: a script that starts a server may migrate first.
MANAGEMENT_NAMES = {"execute_from_command_line", "ManagementUtility"}
IMPORT_SECONDS = 60
MARK = "django-operator settings:"
# Imports a module as a server does, and says which settings it leaves. What it prints is its own affair.
IMPORT = (
    "import importlib, os, sys\n"
    "sys.path[:0] = sys.argv[2:]\n"
    "try:\n"
    "    importlib.import_module(sys.argv[1])\n"
    "except BaseException:\n"
    "    pass\n"
    "print('\\n%s' + os.environ.get('DJANGO_SETTINGS_MODULE', ''))\n"
    "sys.stdout.flush()\n"
    "os._exit(0)\n" % MARK
)


def parse(path: Optional[str]) -> Optional[ast.Module]:
    """The syntax tree of a source; None where there is none that can be read."""
    text = read_text(path) if path else None
    if text is None:
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def constant(node: Optional[ast.AST]) -> Optional[str]:
    """The text that an expression is."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def settings_set_by(tree: Optional[ast.AST], *, defaults: bool = True) -> Set[str]:
    """The settings modules that a source sets, as texts that stand in it.

    :param defaults: also those that it sets only where there are none.
    """
    found = set()
    for node in ast.walk(tree) if tree is not None else ():
        value = None
        if isinstance(node, ast.Call) and len(node.args) > 1 and constant(node.args[0]) == SETTINGS_VARIABLE:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            value = node.args[1] if name == "putenv" or (name == "setdefault" and defaults) else None
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
            value = node.value if constant(node.targets[0].slice) == SETTINGS_VARIABLE else None
        text = constant(value)
        if text:
            found.add(text)
    return found


def mentions_settings(tree: Optional[ast.AST]) -> bool:
    """Whether a source has to do with the settings module, in whatever way."""
    return tree is not None and any(constant(node) == SETTINGS_VARIABLE for node in ast.walk(tree))


def runs_management_commands(tree: Optional[ast.AST]) -> bool:
    """Whether a source calls Django's command line."""
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.alias) and node.name.rpartition(".")[2] in MANAGEMENT_NAMES:
            return True
        if isinstance(node, ast.Attribute) and node.attr in MANAGEMENT_NAMES:
            return True
    return False


def settings_after_import(module: str, directories: Sequence[str], variables: Dict[str, str], directory: str) -> str:
    """The settings module that is set once a module is imported, in a process of its own; empty if none is."""
    environment = {**os.environ, **variables}
    environment.pop("DJANGO_OPERATOR_RUN", None)  # nothing that it starts is to report
    try:
        done = subprocess.run(
            [sys.executable, "-c", IMPORT, module, *directories],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=directory if os.path.isdir(directory) else None,
            timeout=IMPORT_SECONDS,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    said = done.stdout.decode("utf-8", "replace").rpartition(MARK)[2] if MARK.encode() in done.stdout else ""
    return said.strip()
