"""Chooses how the project's commands start, and says what was chosen and why."""

from __future__ import annotations

import os
import sys

from .. import report
from ..manage import MANAGE_ANNOTATION, manage_not_found
from ..start import Start
from .clues import Clues
from .starts import Search, console_scripts, disagree

MOST_PROGRAMS = 5


def choose_start(clues: Clues) -> Start:
    """The start that the first place with anything leads to.

    :raises SystemExit: with ManageNotFound, if there is none, or ManageAmbiguous, if there are several.
    """
    os.environ.update(clues.exported)
    search = Search(clues)
    found = search.run()
    if not found:
        manage_not_found("; ".join(search.looked), example(clues))
    if disagree(found):
        listed = "; ".join(
            f"{each.start.annotation(sys.executable)} ({each.settings or each.start.why})" for each in found
        )
        report.fail_early(
            "ManageAmbiguous",
            f"several things start management commands here, with different settings: {listed}",
            advice=f"write the one that is meant into the annotation {MANAGE_ANNOTATION} on the target",
        )
    return found[0].start


def suggestion(clues: Clues) -> str:
    """The annotation for what would be chosen without one; empty if nothing would be."""
    try:
        found = Search(clues).run()
    except Exception:  # what is said is not about this
        return ""
    return found[0].start.annotation(sys.executable) if found and not disagree(found) else ""


def example(clues: Clues) -> str:
    """What the annotation may be in this image."""
    own = sorted(console_scripts(requiring="django"))[:MOST_PROGRAMS]
    programs = f", or one of its programs: {', '.join(own)}" if own else ""
    return f"{sys.executable} {os.path.join(clues.directory, 'path', 'to', 'manage.py')}{programs}"
