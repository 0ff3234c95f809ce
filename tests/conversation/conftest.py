"""The operator in conversation with an API server on its worst day: the real one, behind a proxy."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "cluster")]

from quiet import QuietMinutes  # noqa: E402
from support.fixtures import *  # noqa: E402, F403


@pytest.fixture(scope="session")
def quiet_minutes(kube, audit):
    """Where the operators of finished plans are left, to be watched side by side for a minute in which nothing happens."""
    quiet = QuietMinutes(kube, audit)
    yield quiet
    quiet.check()


def pytest_runtest_logreport(report):
    """Tells of a failure at once: all plans take more than an hour."""
    if report.failed:
        print("\nFAILED %s (%s)\n%s" % (report.nodeid, report.when, report.longreprtext[-3000:]), flush=True)
