"""Configuration files of servers: gunicorn's, which are Python, and uWSGI's. Parses on Python 3.6."""

import ast
import os
import re
from typing import Any, Dict, Iterator, Set, Tuple

from ..start import SETTINGS_VARIABLE
from .clues import Application, Clues
from .files import read_text
from .modules import find_module
from .programs import Program
from .sources import constant, settings_set_by

PLACEHOLDER = re.compile(r"%\((\w[\w-]*)\)|\$\((\w+)\)|%d|@\((\w+)\)")
MOST_FILES = 8


def read_configs(clues: Clues) -> None:
    """Adds to the clues what the configuration files of their servers say."""
    for server in clues.configs:
        if server.base == "uwsgi":
            read_uwsgi(clues, server)
        elif server.base == "gunicorn":
            read_gunicorn(clues, server)


def read_gunicorn(clues: Clues, server: Program) -> None:
    named = server.option("-c", "--config")[-1:] or ["./gunicorn.conf.py"]
    name = named[0]
    if name.startswith("python:"):
        path = find_module(name[len("python:") :], [server.directory])
    else:
        path = os.path.join(server.directory, name[len("file:") :] if name.startswith("file:") else name)
    text = read_text(path) if path else None
    if text is None:
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    values = dict(assignments(tree))
    chdir = constant(values.get("chdir"))
    if chdir and not server.option("--chdir"):
        clues.directory = os.path.normpath(os.path.join(clues.directory, chdir))
        clues.search.insert(0, clues.directory)
    python_path = constant(values.get("pythonpath"))
    if python_path:
        clues.search += [os.path.join(clues.directory, entry) for entry in python_path.split(",")]
    application = constant(values.get("wsgi_app"))
    if application and not any(each.by == "gunicorn" for each in clues.applications):
        clues.applications.append(Application(application.split(":")[0], "gunicorn"))
    raw = values.get("raw_env")
    listed = [constant(item) for item in raw.elts] if isinstance(raw, (ast.List, ast.Tuple)) else [constant(raw)]
    clues.settings += [text.split("=", 1)[1] for text in listed if text and text.startswith(SETTINGS_VARIABLE + "=")]
    given = SETTINGS_VARIABLE in os.environ or SETTINGS_VARIABLE in clues.exported
    clues.settings += sorted(settings_set_by(tree, defaults=not given))


def assignments(tree: ast.Module) -> Iterator[Tuple[str, ast.expr]]:
    """Names and values of the module."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from ((each.id, node.value) for each in node.targets if isinstance(each, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def read_uwsgi(clues: Clues, server: Program) -> None:
    named = server.option("--ini", "--ini-paste", "-i") + [w for w in server.arguments if w.endswith(".ini")]
    todo = [os.path.join(server.directory, name) for name in dict.fromkeys(named)]
    seen: Set[str] = set()
    while todo and len(seen) < MOST_FILES:
        path = todo.pop(0)
        if path in seen:
            continue
        seen.add(path)
        file, _, section = path.partition(":")
        directory = os.path.dirname(os.path.realpath(file))
        options = list(uwsgi_options(read_text(file) or "", section or "uwsgi", directory, clues.variables))
        for key, value in options:
            if key in ("chdir", "chdir2"):
                clues.directory = os.path.normpath(os.path.join(clues.directory, value))
        for key, value in options:
            if key in ("module", "wsgi", "w"):
                clues.applications.append(Application(value.split(":")[0], "uwsgi"))
            elif key in ("wsgi-file", "file"):
                clues.files.append(Application(value, "uwsgi"))
            elif key in ("pythonpath", "python-path", "pp", "chdir"):
                clues.search.append(os.path.join(clues.directory, value))
            elif key in ("home", "venv", "virtualenv"):
                clues.environments.append(value)
            elif key == "env" and value.startswith(SETTINGS_VARIABLE + "="):
                clues.settings.append(value.split("=", 1)[1])
            elif key in ("ini", "include", "inherit"):
                todo.append(file + value if value.startswith(":") else os.path.join(directory, value))


def uwsgi_options(text: str, section: str, directory: str, variables: Dict[str, str]) -> Iterator[Tuple[str, str]]:
    """Names and values of a file of uWSGI's, in which names may stand several times."""
    known: Dict[str, str] = {}
    inside = False
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            inside = line.strip("[] ") == section
        elif inside and line and line[0] not in "#;":
            key, _, value = (part.strip() for part in line.partition("="))

            def replace(match: Any) -> str:
                if match.group(0) == "%d":
                    return directory + "/"
                if match.group(1):
                    return known.get(match.group(1), "")
                return variables.get(match.group(2) or "", "")

            known[key] = PLACEHOLDER.sub(replace, value)
            yield key, known[key]
