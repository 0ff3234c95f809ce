"""Which interpreter of the image the project is installed for: the one that can import Django. Parses on Python 3.6."""

import os
import subprocess
import sys
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..shebang import NoInterpreter, interpreter
from .clues import Clues
from .files import interpreter_identity, is_current_interpreter, parents, which
from .programs import Program, is_interpreter

LOOK_SECONDS = 60
MOST_LISTED = 8
ENVIRONMENT_NAMES = (".venv", "venv", "env")
# What another interpreter is given to say which packages it has. Only Python says that.
FOUND = "django-operator: found"
HAS_PACKAGES = (
    "import importlib.util as u, sys; sys.path[:0] = sys.argv[2:]\n"
    "if all(map(u.find_spec, sys.argv[1].split())): print('%s')" % FOUND
)


class Interpreter(NamedTuple):
    """An interpreter, by name: one knows its virtual environment by that."""

    path: str
    why: str


def candidates(clues: Clues) -> Iterator[Interpreter]:
    """The interpreters of the image, those that the project's own process has first."""
    for environment in clues.environments:
        yield Interpreter(os.path.join(clues.directory, environment, "bin", "python"), "named by the command")
    for program in reversed(clues.programs):
        yield from of_program(program)
    if sys.executable:
        yield Interpreter(sys.executable, "started with")
    yield from of_variables(clues.variables, clues.directory)
    for directory in [clues.directory, *clues.directories(), *parents(clues.directory)]:
        for name in ENVIRONMENT_NAMES:
            yield Interpreter(os.path.join(directory, name, "bin", "python"), "of %s beside the project" % name)
    yield from of_tools(clues.variables)
    for name in ("python3", "python"):
        path = which(name, clues.variables.get("PATH"), clues.directory)
        if path:
            yield Interpreter(path, "on the PATH")


def of_program(program: Program) -> Iterator[Interpreter]:
    """What a program of the command runs on."""
    if program.runner == "uv":
        project = program.variables.get("UV_PROJECT") or program.directory
        named = program.variables.get("UV_PROJECT_ENVIRONMENT")
        for directory in [project, *parents(project)]:
            environment = os.path.join(directory, named or ".venv")
            yield Interpreter(os.path.join(environment, "bin", "python"), "of uv's environment")
    elif program.runner in ("conda", "mamba", "micromamba"):
        prefix = program.variables.get("CONDA_PREFIX", "")
        yield Interpreter(os.path.join(prefix, "bin", "python"), "of conda's environment")
    elif program.runner:
        yield Interpreter(os.path.join(program.directory, ".venv", "bin", "python"), "of %s" % program.runner)
    if program.variables.get("VIRTUAL_ENV") != os.environ.get("VIRTUAL_ENV"):
        yield from of_variables(program.variables, program.directory)
    path = program.path()
    if path is None:
        return
    if is_interpreter(program.base):
        yield Interpreter(path, "named by the command")
        return
    try:
        words = interpreter(path)
    except (NoInterpreter, OSError, ValueError):  # such as uWSGI, which is no script
        yield Interpreter(os.path.join(os.path.dirname(path), "python"), "beside %s" % path)
        return
    yield Interpreter(words[0], "named in the first line of %s" % path)


def of_variables(variables: Dict[str, str], directory: str) -> Iterator[Interpreter]:
    for name in ("UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV", "CONDA_PREFIX"):
        if variables.get(name):
            yield Interpreter(os.path.join(directory, variables[name], "bin", "python"), "of %s" % name)


def of_tools(variables: Dict[str, str]) -> Iterator[Interpreter]:
    """Environments in the places where tools keep them."""
    home = variables.get("HOME") or os.path.expanduser("~")
    cache = variables.get("POETRY_CACHE_DIR") or os.path.join(home, ".cache", "pypoetry")
    pyenv = variables.get("PYENV_ROOT") or os.path.join(home, ".pyenv")
    places = [
        ("poetry", variables.get("POETRY_VIRTUALENVS_PATH") or os.path.join(cache, "virtualenvs")),
        ("pipenv", variables.get("WORKON_HOME") or os.path.join(home, ".local", "share", "virtualenvs")),
        ("pyenv", os.path.join(pyenv, "versions")),
    ]
    roots = [variables.get("CONDA_ROOT_PREFIX"), variables.get("MAMBA_ROOT_PREFIX"), "/opt/conda"]
    for root in dict.fromkeys(root for root in roots if root):
        yield Interpreter(os.path.join(root, "bin", "python"), "of conda")
        places.append(("conda", os.path.join(root, "envs")))
    for tool, place in places:
        try:
            names = sorted(os.listdir(place))[:MOST_LISTED]
        except OSError:
            continue
        for name in names:
            yield Interpreter(os.path.join(place, name, "bin", "python"), "of %s" % tool)


def choose(clues: Clues, packages: Sequence[str]) -> Tuple[Optional[Interpreter], List[Interpreter]]:
    """The first interpreter that can import all of the packages, or None; and all that were tried."""
    tried: List[Interpreter] = []
    seen = set()
    for candidate in candidates(clues):
        place = interpreter_identity(candidate.path)
        if place is None or place in seen:
            continue
        seen.add(place)
        tried.append(candidate)
        if has_packages(candidate.path, packages, [clues.directory, *clues.directories()]):
            return candidate, tried
    return None, tried


def has_packages(path: str, packages: Sequence[str], directories: Sequence[str]) -> bool:
    """Whether an interpreter finds packages, such as `django.core`, with the project's directories before its own."""
    if is_current_interpreter(path):
        return all(finds(package, directories) for package in packages)
    try:
        said = subprocess.check_output(
            [path, "-c", HAS_PACKAGES, " ".join(packages), *directories],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LOOK_SECONDS,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return FOUND.encode() in said


def finds(package: str, directories: Sequence[str]) -> bool:
    """The same of this process, which imports nothing for it."""
    from importlib.machinery import PathFinder

    path: Optional[Sequence[str]] = [*directories, *sys.path]
    name = ""
    for part in package.split("."):
        name = name + "." + part if name else part
        spec = PathFinder.find_spec(name, path) if path is not None else None
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return True
