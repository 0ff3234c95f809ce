"""What starts Django's commands, where the target's owner did not say: the first of several places where something is
found decides."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ..shebang import NoInterpreter, interpreter
from ..start import MANAGE, SETTINGS_VARIABLE, Start
from .clues import Clues
from .files import parents, unique
from .modules import find_module
from .server_modules import ServerModule
from .sources import mentions_settings, only, parse, runs_management_commands, settings_set_by

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

MOST_NAMED = 4
# What has programs that call Django's command line for projects of any kind.
NO_PROJECTS = {"django", "django-admin"}


class Found:
    """A start, and the settings module that it leads to, if that is known without running it."""

    def __init__(self, start: Start, settings: str | None) -> None:
        self.start = start
        self.settings = settings


class Place(NamedTuple):
    """Why a manage.py is looked for in a directory."""

    reason: str
    package: str = ""  # the package whose modules lie there


class Search:
    """The places, in order, and what was looked at without success."""

    def __init__(self, clues: Clues) -> None:
        self.clues = clues
        self.looked: list[str] = []
        self.import_path = tuple(unique([clues.directory, *clues.directories()]))
        loaded = dict.fromkeys([*clues.applications, *clues.files])
        self.servers = [ServerModule(each, clues, self.import_path) for each in loaded]

    def run(self) -> list[Found]:
        """What the first place with anything has; nothing if there is none."""
        places = (
            self.manage_in_working_directory,
            self.manage_beside_the_project,
            self.settings_variable,
            self.settings_of_applications,
            self.own_management_program,
            self.installed_management_programs,
        )
        return next((found for found in (place() for place in places) if found), [])

    def manage_in_working_directory(self) -> list[Found]:
        directory = os.getcwd()
        path = os.path.join(directory, MANAGE)
        if os.path.isfile(path):
            start = Start(script=path, why=f"{MANAGE} of the working directory {directory}", search=self.import_path)
            return self.with_settings(start, path)
        self.looked.append(f"no {MANAGE} in the working directory {directory}")
        return []

    def manage_beside_the_project(self) -> list[Found]:
        """In what the command names, then where its modules are imported from, then above the working directory."""
        places: dict[str, Place] = {}
        for directory in unique([*self.clues.directories(), *self.clues.places]):
            places.setdefault(directory, Place("which the command names"))
        for server in self.servers:
            for directory, package in server.packages():
                places.setdefault(directory, Place(f"from where {server.by} loads {server.name}", package))
        found = self.manage_in(places)
        for directory in parents(self.clues.directory):
            found = found or self.manage_in({directory: Place("above the working directory")})
        if not found:
            beside = [directory for directory in places if directory != os.getcwd()][:MOST_NAMED]
            self.looked.append(f"none in {', '.join([*beside, 'the directories above it'])}")
        return found

    def manage_in(self, places: dict[str, Place]) -> list[Found]:
        found: dict[str, list[Found]] = {}
        for directory, place in places.items():
            path = os.path.join(directory, MANAGE)
            if os.path.isfile(path):
                start = self.start(script=path, why=f"{MANAGE} of {directory}, {place.reason}")
                if self.is_module(path, place.package):
                    module = f"{place.package}.manage"
                    start = self.start(module=module, why=f"the module {module}, {place.reason}")
                found.setdefault(os.path.realpath(path), self.with_settings(start, path))
        return [each for several in found.values() for each in several]

    def is_module(self, path: str, package: str) -> bool:
        """Whether a console script of what is installed has a manage.py as a module of its package. As a file it would
        take the modules beside it for such as belong to no package."""
        module = f"{package}.manage"
        found = find_module(module, self.import_path) if package else None
        if found is None or os.path.realpath(found) != os.path.realpath(path):
            return False
        return any(entry.module == module for entry in console_scripts().values())

    def with_settings(self, start: Start, path: str) -> list[Found]:
        """A manage.py, with the settings that the command sets; else as it is, and as what the server loads would have
        it, where its source says so."""
        named = list(dict.fromkeys(self.clues.settings))
        if named:
            why = f"{start.why}, with the settings that the command sets"
            return [Found(start._replace(settings=name, why=why), name) for name in named]
        own = only(settings_set_by(parse(path)))
        found = [Found(start, own)]
        if own is not None and not os.environ.get(SETTINGS_VARIABLE):
            others = {*self.loaded_settings(), *self.clues.perhaps_settings} - {own}
            found += [Found(start._replace(settings=name), name) for name in sorted(others)]
        return found

    def loaded_settings(self) -> set[str]:
        """Those that the sources of what is loaded set, where each says so without a doubt."""
        names = (only(settings_set_by(server.trees[0])) for server in self.servers)
        return {name for name in names if name is not None}

    def settings_variable(self) -> list[Found]:
        named = list(dict.fromkeys(self.clues.settings))
        if named:
            return [self.of_settings(name, "which the command sets") for name in named]
        name = os.environ.get(SETTINGS_VARIABLE, "")
        if name:
            return [self.of_settings(name, f"by the variable {SETTINGS_VARIABLE}")]
        if self.clues.perhaps_settings:
            names = dict.fromkeys([*self.clues.perhaps_settings, *sorted(self.loaded_settings())])
            return [self.of_settings(name, "which the command sets") for name in names]
        self.looked.append(f"{SETTINGS_VARIABLE} is not set")
        return []

    def settings_of_applications(self) -> list[Found]:
        found: dict[str, Found] = {}
        for server in self.servers:
            name = server.settings()
            if name:
                reason = f"which {server.name} sets, loaded by {server.by}"
                found.setdefault(name, self.of_settings(name, reason))
            elif server.source is None:
                self.looked.append(f"{server.name}, which {server.by} loads, is not there")
            else:
                self.looked.append(f"{server.name}, which {server.by} loads, sets no settings")
        if not self.servers:
            self.looked.append("the command names no WSGI, ASGI or Celery module")
        return list(found.values())

    def own_management_program(self) -> list[Found]:
        """The program that the command itself is, where it runs management commands."""
        why = "which the command itself runs"
        found: list[Found] = []
        for script in self.clues.scripts:
            found += self.of_program(self.start(script=script, why=f"{script}, {why}"), script)
        for module in self.clues.modules:
            source = find_module(f"{module}.__main__", self.import_path) or find_module(module, self.import_path)
            found += self.of_program(self.start(module=module, why=f"the module {module}, {why}"), source)
        scripts = console_scripts()
        for program in self.clues.programs:
            file = program.path()
            if file is not None and program.base not in NO_PROJECTS and is_python_script(file):
                entry = scripts.get(program.base)
                source = file if entry is None else find_module(entry.module, self.import_path)
                found += self.of_program(self.start(console=file, why=f"the program {file}, {why}"), source)
        return found

    def of_program(self, start: Start, source: str | None) -> list[Found]:
        tree = parse(source)
        return [Found(start, only(settings_set_by(tree)))] if runs_management_commands(tree) else []

    def installed_management_programs(self) -> list[Found]:
        """Among the console scripts of what is installed, those that set a project's settings."""
        found: dict[str, Found] = {}
        for name, entry in sorted(console_scripts().items()):
            tree = parse(find_module(entry.module, ()))
            if runs_management_commands(tree) and mentions_settings(tree):
                package = entry.module.partition(".")[0]
                start = self.start(console=script_path(name), why=f"{name}, the management program of {package}")
                found.setdefault(entry.value, Found(start, only(settings_set_by(tree))))
        if not found:
            self.looked.append("no management program is among the console scripts of what is installed")
        return list(found.values())

    def of_settings(self, name: str, reason: str) -> Found:
        start = self.start(module="django", settings=name, why=f"settings {name}, {reason}")
        return Found(self.with_added_directories(start), name)

    def with_added_directories(self, start: Start) -> Start:
        """Imports also from where the servers' modules say, where its settings may be there alone."""
        settings = start.settings or os.environ.get(SETTINGS_VARIABLE, "")
        for server in self.servers if settings else ():
            if server.must_be_imported_for(settings):
                first, middle, last = server.imported.added
                start = start._replace(
                    search_first=(*first, *start.search_first),
                    search=(*start.search, *middle),
                    search_last=(*start.search_last, *last),
                )
                if find_module(settings, (*start.search_first, *start.search, *start.search_last)):
                    break
        return start

    def start(self, why: str, *, script: str = "", module: str = "", console: str = "", settings: str = "") -> Start:
        return Start(
            script, module, console, (), settings, why, directory=self.clues.directory, search=self.import_path
        )


def disagree(found: list[Found]) -> bool:
    """Whether several starts lead to different settings, as far as anybody can tell without running them."""
    if os.environ.get(SETTINGS_VARIABLE):  # what programs set is a default
        return len({each.start.settings for each in found}) > 1
    return len({each.settings or each.start.program for each in found}) > 1


@cache
def console_scripts(requiring: str = "") -> dict[str, EntryPoint]:
    """The console scripts of what is installed, by name; none of Django's own.

    :param requiring: of those alone that need this package.
    """
    from importlib import metadata  # which takes a while

    found: dict[str, EntryPoint] = {}
    for distribution in metadata.distributions():
        try:
            for entry in own_console_scripts(distribution, requiring):
                found.setdefault(entry.name, entry)
        except Exception:  # noqa: S112 - what is written in a package's metadata may be anything
            continue
    return found


def own_console_scripts(distribution: Distribution, requiring: str) -> list[EntryPoint]:
    entries = [each for each in distribution.entry_points if each.group == "console_scripts"]
    if entries and requiring:
        needed = [each for each in distribution.requires or () if "extra" not in each]
        if requiring not in [re.split(r"[^\w.-]", each.strip())[0].lower() for each in needed]:
            return []
    return [entry for entry in entries if entry.module.partition(".")[0] not in NO_PROJECTS]


def script_path(name: str) -> str:
    """Where a console script lies: beside the interpreter that it is installed for, else on the PATH."""
    beside = os.path.join(os.path.dirname(sys.executable or ""), name)
    return beside if os.path.isfile(beside) else name


def is_python_script(file: str) -> bool:
    try:
        interpreter(file)
    except (NoInterpreter, OSError, ValueError):
        return False
    return True
