"""Goes over to the project's own interpreter, before anything else is said. Parses on Python 3.6."""

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, List, NoReturn, Optional, Sequence

from . import report
from .manage import MANAGE_ANNOTATION, switch_to, switched_already
from .start import MANAGE

if TYPE_CHECKING:
    from .discovery.clues import Clues
    from .discovery.interpreters import Interpreter

DJANGO, CELERY = "django.core", "celery.app"


def find_clues(command: Sequence[str]) -> "Clues":
    """What the container's own command says of the project; nothing where it cannot be understood."""
    from .discovery.clues import Clues, read_clues
    from .discovery.programs import started_programs

    directory, variables = os.getcwd(), dict(os.environ)
    try:
        clues = read_clues(started_programs(command, directory, variables), directory, variables)
        if clues.configs:
            from .discovery.server_configs import read_configs

            read_configs(clues)
        return clues
    except Exception as error:  # what is found without it may do
        report.complain("the container's command could not be understood: %r" % error)
        return Clues(directory, variables)


def enter_project(options: Namespace) -> "Clues":
    """The clues, in the interpreter that has Django; ends the process if there is none, and no manage.py that may know
    where Django is."""
    clues = find_clues(options.container_command)
    if switched_already():
        return clues
    try:
        interpreter = find_interpreter(options, clues)
    except Exception as error:  # this one may do
        report.complain("the project's interpreter could not be found out: %r" % error)
        return clues
    if interpreter:
        switch_to([interpreter])
    if clues.tried and not os.path.isfile(MANAGE):
        without_django(clues)
    return clues


def find_interpreter(options: Namespace, clues: "Clues") -> str:
    """The interpreter to go over to; empty if it is this one, or if none has Django."""
    from .discovery.files import is_current_interpreter
    from .discovery.interpreters import choose

    # A Celery application may be one without Django; and where none has both, the one with Django is the project's.
    wanted = [[DJANGO, CELERY], [CELERY], [DJANGO]] if options.celery else [[DJANGO]]
    tried: "List[Interpreter]" = []
    for packages in wanted:
        chosen, tried = choose(clues, packages)
        if chosen is not None:
            return "" if is_current_interpreter(chosen.path) else chosen.path
    clues.tried = ["%s (%s)" % (each.path, each.why) for each in tried]
    return ""


def without_django(clues: "Clues") -> NoReturn:
    """Ends the process."""
    manage = next((path for path in places_of_manage(clues) if os.path.isfile(path)), MANAGE)
    report.fail_early(
        "InterpreterWithoutDjango",
        "no interpreter of this image can import Django; tried %s" % (", ".join(clues.tried) or sys.executable),
        advice="name the one that can by the annotation %s on the target, such as: /path/to/venv/bin/python %s"
        % (MANAGE_ANNOTATION, manage),
    )


def lacks_django(error: Optional[BaseException]) -> bool:
    """Whether an import failed as there is no Django, in whatever words a manage.py puts that."""
    while error is not None:
        if isinstance(error, ImportError) and (error.name or "").split(".")[0] == "django":
            return True
        error = error.__cause__ or error.__context__
    return False


def places_of_manage(clues: "Clues") -> List[str]:
    return [os.path.join(directory, MANAGE) for directory in [os.getcwd(), clues.directory, *clues.directories()]]
