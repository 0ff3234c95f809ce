"""Runs one command of a project, which does not have to know this package, and reports what came of it."""

from __future__ import annotations

import builtins
import importlib.util
import os
import pkgutil
import runpy
import shutil
import sys
import zipfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from . import report
from .commands import CommandLine
from .start import SETTINGS_VARIABLE, Start

if TYPE_CHECKING:
    from .discovery.clues import Clues


def main(options: Namespace, command: Sequence[str], start: Start | None = None, clues: Clues | None = None) -> int:
    """Runs the command; the exit code is the command's own, or 1.

    :param start: how it starts, if that is known.
    :param clues: what the container's own command says of the project, where it is to be found out.
    """
    print_whatever_the_encoding()
    code = recorded(lambda: run(options, command, start, clues), clues)
    if report.current.failure is not None:
        code = code or 1
    report.current.write()
    flush_output()
    return code


def run(options: Namespace, command: Sequence[str], start: Start | None, clues: Clues | None) -> None:
    """Runs the command."""
    if options.celery:
        from .celery_control import run

        enter_directory(clues)
        settings = options.settings or (clues.settings[0] if clues and len(set(clues.settings)) == 1 else "")
        if settings:
            os.environ[SETTINGS_VARIABLE] = settings
        run(command)
    else:
        run_project(prepare_start(options, start, clues), command)


def recorded(act: Callable[[], None], clues: Clues | None) -> int:
    """Does something to its end, whatever that is, and records that; the exit status."""
    try:
        act()
    except SystemExit as end:
        report.current.record_exit(end)
        if not isinstance(end.code, int) and end.code is not None:
            report.complain(end.code)  # as Python does when it is not held up
        return report.exit_status(end.code)
    except BaseException as error:  # whatever it is, the operator has to hear of it
        if clues is not None and clues.tried:
            from .project import lacks_django, without_django

            if lacks_django(error):
                without_django(clues)
        if isinstance(error, ImportError) and (error.name or "").split(".")[0] == "django":
            error.msg = f"{error.msg}; is this the interpreter that the project is installed for?"
        report.current.record_failure(error)
        with suppress(BaseException):  # a project may have a hook of its own, which may end the process
            sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def prepare_start(options: Namespace, start: Start | None, clues: Clues | None) -> Start:
    """How commands start, in the interpreter that they start in."""
    start = start or start_of(options, clues)
    if start.why:
        report.current.started = f"{start.why}, by {sys.executable}"
    script = shutil.which(start.console) if start.console else None
    if script is not None:
        switch_interpreter(script)
    return start


def start_of(options: Namespace, clues: Clues | None) -> Start:
    """How the target's owner says that commands start, else how it was found out."""
    if clues is not None:
        from .discovery.choice import choose_start

        return choose_start(clues)
    search: tuple[str, ...] = ()
    if options.container_command:
        from .project import find_clues

        clues = find_clues(options.container_command)
        search = (clues.directory, *clues.directories())
    start = Start(
        script=options.script or "",
        module=options.module or "",
        console=options.console or "",
        arguments=tuple(options.argument),
        settings=options.settings,
        search=search,
    )
    if clues is None or not (start.module == "django" or os.path.basename(start.console) == "django-admin"):
        return start
    from .discovery.starts import Search

    return Search(clues).with_added_directories(start)


def enter_directory(clues: Clues | None) -> None:
    """Works where the project's own process works, and imports what it imports."""
    if clues is None:
        set_import_path(os.getcwd())
        return
    os.environ.update(clues.exported)
    if os.path.isdir(clues.directory):
        os.chdir(clues.directory)
    set_import_path(os.getcwd(), *clues.directories())


def run_project(start: Start, command: Sequence[str]) -> None:
    """Starts the project as its owner starts it, with the commands of this package among its own."""
    command_line = CommandLine(command[0] if command else "")
    command_line.watch()
    if start.settings:
        os.environ[SETTINGS_VARIABLE] = start.settings
    if start.directory and os.path.isdir(start.directory):
        os.chdir(start.directory)
    words = [*start.arguments, *command]
    try:
        if start.script:
            run_script(start, words)
        elif start.module:
            run_module(start, words)
        else:
            run_console_script(start, words)
    except SystemExit as end:
        if report.exit_status(end.code):
            raise
    command_line.require_reached(start.program)


def run_script(start: Start, command: Sequence[str]) -> None:
    script = start.script
    if not os.path.exists(script):
        not_found("there is no file %s in %s" % (script, os.getcwd()))
    import_as_started(os.path.dirname(os.path.realpath(script)), start)  # as Python does
    sys.argv = [script, *command]
    execute(os.path.abspath(script))


def execute(path: str) -> None:
    """Executes a file as Python executes the one that it is started with."""
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        runpy.run_path(path, run_name="__main__")
        return
    loader = SourceFileLoader("__main__", path)
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __loader__=loader, __builtins__=builtins)
    sys.modules["__main__"] = main
    with open(path, "rb") as file:
        code: Any = getattr(pkgutil, "read_code")(file)  # noqa: B009 - of a compiled file; its stubs know nothing of it
    exec(code or loader.source_to_code(loader.get_data(path), path), main.__dict__)  # noqa: S102 - what the Job is for


def run_module(start: Start, command: Sequence[str]) -> None:
    module = start.module
    import_as_started(os.getcwd(), start)
    if not is_there(module):
        not_found("there is no module %s" % module)
    sys.argv = [module, *command]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def run_console_script(start: Start, command: Sequence[str]) -> None:
    name = start.console
    script = shutil.which(name)
    if script is None:
        not_found("there is no program %s on the PATH" % name)
    import_as_started(os.path.dirname(os.path.realpath(script)), start)
    sys.argv = [script, *command]
    execute(os.path.abspath(script))


def not_found(problem: str) -> NoReturn:
    """Ends the process; the message has what would be chosen without the annotation, if that can be told."""
    from .arguments import parse_arguments
    from .discovery.choice import example, suggestion
    from .manage import manage_not_found
    from .project import find_clues

    clues = find_clues(parse_arguments(sys.argv[1:])[0].container_command)
    manage_not_found(problem, suggestion(clues) or example(clues))


def switch_interpreter(script: str) -> None:
    """Goes over to the interpreter of the script, if it is another."""
    from .manage import manage_not_found, switch_to, switched_already
    from .shebang import NoInterpreter, interpreter

    try:
        words = interpreter(script)
    except NoInterpreter as problem:
        manage_not_found(str(problem))
    # By name, not by what it links to: an interpreter knows its virtual environment by its name.
    if os.path.abspath(words[0]) == os.path.abspath(sys.executable or "") or switched_already():
        return
    if not os.access(words[0], os.X_OK):
        manage_not_found(f"{script} names the interpreter {words[0]}, which is not there")
    switch_to(words)


def is_there(module: str) -> bool:
    """Whether there is a module of this name; its package may fail for reasons of its own."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            return False
        raise


def import_as_started(own: str, start: Start) -> None:
    """Imports from the program's own directory, and from where its start says."""
    set_import_path(*start.search_first, own, *start.search, last=start.search_last)


def set_import_path(*directories: str, last: Sequence[str] = ()) -> None:
    """Imports as the project's own program does; this package comes last."""
    home = sys.path.pop(0)
    sys.path[:0] = dict.fromkeys(directories)
    sys.path += [*last, home]


def print_whatever_the_encoding() -> None:
    """A character that the container's locale lacks must not be what a command fails by."""
    stream: Any = sys.stdout
    if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """What is not printed by now has nobody who reads it; Python would end with an exit code of its own for it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        sys.stdout = None
