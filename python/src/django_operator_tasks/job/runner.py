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
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any

from . import report
from .commands import CommandLine
from .interpreter import switch_interpreter
from .manage import manage_not_found


def main(argv: Sequence[str]) -> int:
    """Runs the command; the exit code is the command's own, or 1."""
    end = argv.index("--") if "--" in argv else len(argv)
    own, command = argv[:end], argv[end + 1 :]
    parser = ArgumentParser(prog="tasks", description="Runs a management command of a Django project.")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--script", metavar="FILE", help="run FILE, such as manage.py")
    how.add_argument("--module", metavar="NAME", help="run the module, as python -m does")
    how.add_argument("--console", metavar="NAME", help="run the console script, under its own interpreter")
    how.add_argument("--celery", action="store_true", help="carry out a command line of Celery")
    options = parser.parse_args(own)
    print_whatever_the_encoding()
    code = run(options, command)
    if report.current.failure is not None:
        code = code or 1
    report.current.write()
    flush_output()
    return code


def run(options: Namespace, command: Sequence[str]) -> int:
    """Runs the command to its end, whatever that is, and records it; the exit status."""
    try:
        if options.celery:
            from .celery_control import run

            set_import_path(os.getcwd())
            run(command)
        else:
            run_project(options, command)
    except SystemExit as end:
        report.current.record_exit(end)
        if not isinstance(end.code, int) and end.code is not None:
            report.complain(end.code)  # as Python does when it is not held up
        return report.exit_status(end.code)
    except BaseException as error:  # whatever it is, the operator has to hear of it
        if isinstance(error, ImportError) and (error.name or "").split(".")[0] == "django":
            error.msg = f"{error.msg}; is this the interpreter that the project is installed for?"
        report.current.record_failure(error)
        with suppress(BaseException):  # a project may have a hook of its own, which may end the process
            sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def run_project(options: Namespace, command: Sequence[str]) -> None:
    """Starts the project as its owner starts it, with the commands of this package among its own."""
    command_line = CommandLine()
    command_line.watch()
    try:
        if options.script:
            program = options.script
            run_script(program, command)
        elif options.module:
            program = f"python -m {options.module}"
            run_module(options.module, command)
        else:
            program = options.console
            run_console_script(program, command)
    except SystemExit as end:
        if report.exit_status(end.code):
            raise
    command_line.require_reached(program)


def run_script(script: str, command: Sequence[str]) -> None:
    if not os.path.exists(script):
        manage_not_found("there is no file %s in %s" % (script, os.getcwd()))
    set_import_path(os.path.dirname(os.path.realpath(script)))  # as Python does
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


def run_module(module: str, command: Sequence[str]) -> None:
    set_import_path(os.getcwd())
    sys.argv = [module, *command]
    if not is_there(module):
        manage_not_found("there is no module %s" % module)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def run_console_script(name: str, command: Sequence[str]) -> None:
    script = shutil.which(name)
    if script is None:
        manage_not_found("there is no program %s on the PATH" % name)
    switch_interpreter(script)
    set_import_path(os.path.dirname(os.path.realpath(script)))
    sys.argv = [script, *command]
    execute(os.path.abspath(script))


def is_there(module: str) -> bool:
    """Whether there is a module of this name; its package may fail for reasons of its own."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            return False
        raise


def set_import_path(directory: str) -> None:
    """Imports as the project's own program does; this package comes last."""
    home = sys.path.pop(0)
    sys.path.insert(0, directory)
    sys.path.append(home)


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
