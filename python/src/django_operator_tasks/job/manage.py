"""How management commands start in the project's image, where that is not as it was said."""

from __future__ import annotations

from typing import NoReturn

from . import report

MANAGE_ANNOTATION = "django.my.domain/manage"


def manage_not_found(problem: str) -> NoReturn:
    """Ends the process."""
    report.fail_early(
        "ManageNotFound",
        f"{problem}; say how commands start there by the annotation {MANAGE_ANNOTATION} on the target",
    )
