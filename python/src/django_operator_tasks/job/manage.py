"""How management commands start in the project's image, where that is not as it was said. Parses on Python 3.6."""

import os
import sys
from typing import List, NoReturn

from . import report

MANAGE_ANNOTATION = "django.my.domain/manage"
SWITCHED_VARIABLE = "DJANGO_OPERATOR_EXEC"


def manage_not_found(problem: str, example: str = "") -> NoReturn:
    """Ends the process."""
    advice = "say how commands start there by the annotation %s on the target" % MANAGE_ANNOTATION
    report.fail_early("ManageNotFound", problem, advice=advice + (", such as: " + example if example else ""))


def switched_already() -> bool:
    """Whether this process went over to another interpreter before."""
    return bool(os.environ.get(SWITCHED_VARIABLE))


def switch_to(interpreter: List[str]) -> NoReturn:
    """Goes on in another interpreter, given with its options."""
    os.environ[SWITCHED_VARIABLE] = "1"
    os.execv(interpreter[0], [*interpreter, sys.argv[0], *sys.argv[1:]])
