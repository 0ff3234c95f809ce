"""Hears what the executors of migrations do, in whichever command: that of django-tenants has one of Django's for each
schema. Those in other processes, as its `--executor=multiprocessing` starts them, are not heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, local
from typing import Any

from django.db.migrations.executor import MigrationExecutor

# Told of the connection, the action, the migration, and whether it is only recorded.
Listener = Callable[[Any, str, Any, bool], None]


class Listeners(local):
    """Those of this thread; the last one hears."""

    def __init__(self) -> None:
        self.stack: tuple[Listener, ...] = ()


listeners = Listeners()
lock = Lock()
users = 0
connected = False
original = MigrationExecutor.apply_migration


def apply_and_tell(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """Stands for the executor's own method while anybody listens."""
    callback = executor.progress_callback
    listener = listeners.stack[-1] if listeners.stack else None
    if listener is None:
        return original(executor, *args, **kwargs)

    def tell(action: str, migration: Any = None, fake: bool = False) -> None:
        listener(executor.connection, action, migration, fake)
        if callback is not None:
            callback(action, migration, fake)

    executor.progress_callback = tell
    try:
        return original(executor, *args, **kwargs)
    finally:
        executor.progress_callback = callback


@contextmanager
def hear_executors(listener: Listener) -> Iterator[None]:
    """Tells it of each step while the block runs, in this thread."""
    connect()
    before = listeners.stack
    listeners.stack = (*before, listener)
    try:
        yield
    finally:
        listeners.stack = before
        disconnect()


def connect() -> None:
    """The first one puts our method in the place of the executor's."""
    global users, connected, original
    with lock:
        users += 1
        if not connected:
            original = MigrationExecutor.apply_migration
            MigrationExecutor.apply_migration = apply_and_tell  # type: ignore[method-assign, assignment]
            connected = True


def disconnect() -> None:
    """The last one takes it away, unless somebody else's stands around it: then it stays, and tells nobody."""
    global users, connected
    with lock:
        users -= 1
        if users == 0 and MigrationExecutor.apply_migration is apply_and_tell:
            MigrationExecutor.apply_migration = original  # type: ignore[method-assign]
            connected = False
