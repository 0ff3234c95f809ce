"""What Python sources say: which settings module they set, and whether they run management commands. Parses on
Python 3.6."""

import ast
import json
import os
import subprocess
import sys
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ..run_context import RUN_CONTEXT_VARIABLE
from ..start import SETTINGS_VARIABLE
from .files import read_text

# Not `call_command`: a script that starts a server may migrate first.
MANAGEMENT_NAMES = {"execute_from_command_line", "ManagementUtility"}
IMPORT_SECONDS = 60
MARK = "django-operator settings:"
# Imports a module as a server does, or executes a file as one, and says which settings that leaves, and which
# directories it adds to import from: before those of the project, after them, and after Python's own. What it prints is
# its own affair, and where to.
IMPORT = (
    "import importlib, json, os, runpy, sys\n"
    "module, own = sys.argv[1], sys.argv[2:]\n"
    "there = own + sys.path\n"
    "sys.path[:] = there\n"
    "try:\n"
    "    runpy.run_path(module, run_name='wsgi') if os.path.isfile(module) else importlib.import_module(module)\n"
    "except BaseException:\n"
    "    pass\n"
    "path = [each for each in sys.path if isinstance(each, str)]\n"
    "first = lambda known: min([path.index(each) for each in known if each in path] + [len(path)])\n"
    "ends = [0, first(there), max(first(there), first(there[len(own):])), len(path)]\n"
    "added = lambda part: [os.path.abspath(each) for each in part if each not in there]\n"
    "parts = [added(path[begin:end]) for begin, end in zip(ends, ends[1:])]\n"
    "said = json.dumps([os.environ.get('DJANGO_SETTINGS_MODULE', '')] + parts)\n"
    "os.write(1, ('\\n%s' + said + '\\n').encode())\n"
    "os._exit(0)\n" % MARK
)


class AddedDirectories(NamedTuple):
    """Directories to import from, by their place in Python's path."""

    first: Tuple[str, ...] = ()  # before those of the project
    middle: Tuple[str, ...] = ()  # after them
    last: Tuple[str, ...] = ()  # after Python's own


class ImportedModule(NamedTuple):
    """What a module of a server leaves behind."""

    settings: str = ""  # the settings module that it sets
    added: AddedDirectories = AddedDirectories()


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


def changes_import_path(tree: Optional[ast.AST]) -> bool:
    """Whether a source adds to the directories that modules are imported from."""
    for node in ast.walk(tree) if tree is not None else ():
        changed: List[ast.AST] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "addsitedir":
                return True
            changed = [node.func.value] if node.func.attr in ("append", "extend", "insert") else []
        elif isinstance(node, ast.Assign):
            changed = [each.value if isinstance(each, ast.Subscript) else each for each in node.targets]
        elif isinstance(node, ast.AugAssign):
            changed = [node.target]
        if any(is_sys_path(each) for each in changed):
            return True
    return False


def is_sys_path(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "path" and getattr(node.value, "id", "") == "sys"


def import_apart(module: str, directories: Sequence[str], variables: Dict[str, str], directory: str) -> ImportedModule:
    """Imports a module, or executes a file as one, in a process of its own."""
    environment = {**os.environ, **variables}
    environment.pop(RUN_CONTEXT_VARIABLE, None)  # nothing that it starts is to report
    try:
        output = subprocess.run(
            [sys.executable, "-c", IMPORT, module, *directories],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=directory if os.path.isdir(directory) else None,
            timeout=IMPORT_SECONDS,
        ).stdout
    except subprocess.TimeoutExpired as late:  # something that it started may have kept the output open
        output = late.stdout or b""
    except (OSError, ValueError, subprocess.SubprocessError):
        return ImportedModule()
    _, mark, said = output.decode("utf-8", "replace").rpartition(MARK)
    if not mark:  # it ended the process, or closed its output
        return ImportedModule()
    try:
        settings, *parts = json.JSONDecoder().raw_decode(said)[0]
    except ValueError:
        return ImportedModule()
    return ImportedModule(settings, AddedDirectories(*map(tuple, parts)))


def only(names: Set[str]) -> Optional[str]:
    """The single one; None of none, or of several."""
    return next(iter(names)) if len(names) == 1 else None
