"""Runs one command of a project, which does not have to know this package, and reports what came of it."""

from __future__ import annotations

import importlib.util
import os
import runpy
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any, NoReturn

from . import report

PACKAGE = "django_operator_tasks"
# Commands that the operator means when it names them; the others give way to the project's own.
OVERRIDING_COMMANDS = ("ensureadmin", "lockedmigrate")
FALLBACK_COMMANDS = ("probe", "wait4db")
MANAGE = "django.my.domain/manage"


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
    code = 1
    try:
        if options.celery:
            from .celery_control import run

            set_import_path()
            run(command)
        else:
            run_project(options, command)
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        if code:
            report.current.record_exit(exit_.code)
            if not isinstance(exit_.code, int):
                print(exit_.code, file=sys.stderr)  # as Python does when it is not held up
    except BaseException as error:  # whatever it is, the operator has to hear of it
        report.current.record_failure(error)
        sys.excepthook(type(error), error, error.__traceback__)
    if report.current.failure is not None:
        code = code or 1
    report.current.write()
    sys.stdout.flush()
    return code


def run_project(options: Namespace, command: Sequence[str]) -> None:
    """Starts the project as its owner starts it, with the commands of this package among its own."""
    if options.script:
        if not os.path.isfile(options.script):
            manage_not_found("there is no file %s in %s" % (options.script, os.getcwd()))
        install_commands(os.path.dirname(os.path.abspath(options.script)))
        sys.argv = [options.script, *command]
        runpy.run_path(options.script, run_name="__main__")
    elif options.module:
        install_commands(os.getcwd())
        sys.argv = [options.module, *command]
        if importlib.util.find_spec(options.module) is None:
            manage_not_found("there is no module %s" % options.module)
        runpy.run_module(options.module, run_name="__main__", alter_sys=True)
    else:
        script = shutil.which(options.console)
        if script is None:
            manage_not_found("there is no program %s on the PATH" % options.console)
        switch_interpreter(script)
        install_commands(os.path.dirname(script))
        sys.argv = [script, *command]
        runpy.run_path(script, run_name="__main__")


def manage_not_found(problem: str) -> NoReturn:
    report.fail_early(
        "ManageNotFound", "%s; say how commands start there by the annotation %s on the target" % (problem, MANAGE)
    )


def set_import_path(directory: str | None = None) -> None:
    """Imports as the project's own program does; this package comes last."""
    home = sys.path.pop(0)
    sys.path.insert(0, directory or os.getcwd())
    sys.path.append(home)


def install_commands(directory: str) -> None:
    """Adds the commands of this package to those that Django finds, and listens to what becomes of them."""
    set_import_path(directory)
    try:
        from django.core import management
        from django.core.management.base import BaseCommand
    except ImportError as error:
        raise ImportError("%s; is this the interpreter that the project is installed for?" % error) from error

    find = management.get_commands

    def get_commands() -> dict[str, str]:
        return {**dict.fromkeys(FALLBACK_COMMANDS, PACKAGE), **find(), **dict.fromkeys(OVERRIDING_COMMANDS, PACKAGE)}

    replacement: Any = get_commands
    replacement.cache_clear = getattr(find, "cache_clear", lambda: None)
    management.get_commands = replacement
    execute = BaseCommand.execute

    depth = [0]

    def execute_and_report(self: BaseCommand, *args: Any, **options: Any) -> str | None:
        if depth[0]:  # a command within a command: its caller deals with what becomes of it
            return execute(self, *args, **options)
        depth[0] += 1
        try:
            before_command(self)
            output = execute(self, *args, **options)
            after_command(self)
            return output
        except BaseException as error:
            if not (isinstance(error, SystemExit) and not error.code):
                report.current.record_failure(error)
            raise
        finally:
            depth[0] -= 1

    command: Any = BaseCommand
    command.execute = execute_and_report


def command_name(command: object) -> str:
    return type(command).__module__.rsplit(".", 1)[-1]


def before_command(command: object) -> None:
    """Checks that have to come before a command of Django's own."""
    if command_name(command) == "collectstatic":
        from .durability import require_durable_static_root

        require_durable_static_root()


def after_command(command: object) -> None:
    """Reads what a command of Django's own did."""
    if command_name(command) == "collectstatic":
        lists: list[Any] = [
            getattr(command, name, ()) for name in ("copied_files", "symlinked_files", "unmodified_files")
        ]
        report.current.record_success("collected", count=sum(map(len, lists)))


def switch_interpreter(script: str) -> None:
    """Goes over to the interpreter that the script's first line names, if it is another."""
    with open(script, "rb") as file:
        first, second = file.readline().decode("utf-8", "replace"), file.readline().decode("utf-8", "replace")
    if not first.startswith("#!"):
        manage_not_found("%s is no script" % script)
    words = first[2:].split()
    if words and os.path.basename(words[0]) == "sh" and "exec" in second:  # how pip writes long paths
        words = [second.split("exec'", 1)[-1].strip().split('"')[1]] if '"' in second else second.split()[1:2]
    if words and os.path.basename(words[0]) == "env":
        words = [shutil.which(word) or word for word in words[1:] if not word.startswith("-")]
    if not words or ("python" not in os.path.basename(words[0]) and "pypy" not in os.path.basename(words[0])):
        manage_not_found("%s does not start with a Python interpreter" % script)
    # By name, not by what it links to: an interpreter knows its virtual environment by its name.
    if os.path.abspath(words[0]) != os.path.abspath(sys.executable or "") and not os.environ.get(
        "DJANGO_OPERATOR_EXEC"
    ):
        os.environ["DJANGO_OPERATOR_EXEC"] = "1"
        if not os.access(words[0], os.X_OK):
            manage_not_found("%s names the interpreter %s, which is not there" % (script, words[0]))
        os.execv(words[0], [*words, sys.argv[0], *sys.argv[1:]])
