"""Goes over to the project's own interpreter, before anything else is said. Parses on Python 3.6."""

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, List, NoReturn, Sequence

from . import report
from .manage import MANAGE_ANNOTATION, switch_to, switched_already

if TYPE_CHECKING:
    from .discovery.clues import Clues
    from .discovery.interpreters import Interpreter

DJANGO, CELERY = "django.core", "celery"


def find_clues(command: Sequence[str]) -> "Clues":
    """What the container's own command says of the project."""
    from .discovery.clues import read_clues
    from .discovery.programs import started_programs

    directory, variables = os.getcwd(), dict(os.environ)
    return read_clues(started_programs(command, directory, variables), directory, variables)


def enter_project(options: Namespace) -> "Clues":
    """The clues, in the interpreter that has Django; ends the process if there is none."""
    from .discovery.interpreters import choose, is_current

    clues = find_clues(options.container_command)
    if switched_already():
        return clues
    chosen, tried = choose(clues, CELERY) if options.celery else (None, [])
    if chosen is None:
        chosen, tried = choose(clues, DJANGO)
    if chosen is None:
        without_django(tried, clues)
    elif not is_current(chosen.path):
        switch_to([chosen.path])
    return clues


def without_django(tried: "List[Interpreter]", clues: "Clues") -> NoReturn:
    """Ends the process."""
    listed = ", ".join("%s (%s)" % (each.path, each.why) for each in tried)
    manage = next((path for path in places_of_manage(clues) if os.path.isfile(path)), "manage.py")
    report.fail_early(
        "InterpreterWithoutDjango",
        "no interpreter of this image can import Django; tried %s" % (listed or sys.executable),
        advice="name the one that can by the annotation %s on the target, such as: /path/to/venv/bin/python %s"
        % (MANAGE_ANNOTATION, manage),
    )


def places_of_manage(clues: "Clues") -> List[str]:
    return [os.path.join(directory, "manage.py") for directory in [os.getcwd(), clues.directory, *clues.directories()]]
