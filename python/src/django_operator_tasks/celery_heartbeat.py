"""Lets Celery's worker and beat write the heartbeat that `heartbeat` reads. Nothing to configure: the
application is in INSTALLED_APPS, and Celery starts Django."""

from __future__ import annotations

import atexit
import logging
import sys
from collections.abc import Callable
from typing import Any

from . import heartbeat

logger = logging.getLogger("django_operator_tasks.heartbeat")
INTERVAL_SECONDS = 5.0
# A worker that lost the broker tries again by itself for a long time; to restart it would not help.
RECONNECT_SECONDS = 600.0


def connect() -> None:
    """Listens to Celery, in its own processes only: elsewhere it is not loaded when Django starts."""
    if "celery" not in sys.modules:
        return
    from celery.signals import beat_init, celeryd_init, import_modules, worker_shutdown

    celeryd_init.connect(on_worker, dispatch_uid="django_operator_tasks.worker")
    worker_shutdown.connect(on_worker_shutdown, dispatch_uid="django_operator_tasks.worker_shutdown")
    beat_init.connect(on_beat, dispatch_uid="django_operator_tasks.beat")
    import_modules.connect(before_beat, dispatch_uid="django_operator_tasks.before_beat")
    before_beat()


def on_worker(instance: Any = None, **_: Any) -> None:
    """Adds the heartbeat to what a worker does while it consumes."""
    from celery import bootsteps

    class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc, unused-ignore]
        """Ticks in the timer of the worker's main loop, so that a loop that hangs is seen."""

        requires = ("celery.worker.consumer.connection:Connection",)
        entry: Any = None

        def start(self, parent: Any) -> None:
            write("worker", INTERVAL_SECONDS)
            self.entry = parent.timer.call_repeatedly(INTERVAL_SECONDS, write, ("worker", INTERVAL_SECONDS))

        def stop(self, parent: Any) -> None:
            if self.entry is not None:
                self.entry.cancel()
            write("worker", RECONNECT_SECONDS)

    on_worker_shutdown()  # of the process before this one, in the same volume
    instance.app.steps["consumer"].add(Heartbeat)


def on_worker_shutdown(**_: Any) -> None:
    """A worker that ended is not alive."""
    ignoring_os_errors(heartbeat.remove, "worker")


def before_beat(**_: Any) -> None:
    """Removes the heartbeat of an earlier process in the same volume, so that a beat that hangs while it makes its
    scheduler is noticed."""
    if "celery.apps.beat" in sys.modules:  # only beat's own process has it
        forget_beat()


def on_beat(sender: Any = None, **_: Any) -> None:
    """Writes a heartbeat after each tick of the schedule, good until the next is due."""
    atexit.register(forget_beat)
    scheduler = sender.scheduler
    tick = scheduler.tick

    def tick_with_heartbeat(*args: Any, **kwargs: Any) -> Any:
        write("beat", RECONNECT_SECONDS)  # a tick that sends waits for the broker
        interval = tick(*args, **kwargs)
        write("beat", float(interval or 0))
        return interval

    scheduler.tick = tick_with_heartbeat


def forget_beat() -> None:
    """A beat that ended is not alive."""
    ignoring_os_errors(heartbeat.remove, "beat")


def write(role: str, within: float) -> None:
    ignoring_os_errors(heartbeat.write, role, within)


def ignoring_os_errors(act: Callable[..., None], *args: Any) -> None:
    """Never stops the process over a file."""
    try:
        act(*args)
    except OSError as error:
        logger.warning(
            "no heartbeat: %s; set %s to a directory that can be written", error, heartbeat.DIRECTORY_VARIABLE
        )
