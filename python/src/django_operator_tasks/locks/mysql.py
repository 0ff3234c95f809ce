"""Named locks of MySQL and MariaDB."""

from __future__ import annotations

import hashlib
import sys
from threading import Event, Thread

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from .base import ORPHAN_PREFIX, Lock, first_row, own_session

NAME_LIMIT = 64
# A session that holds the lock is silent for as long as the migrations run, and the server ends one that is silent
# for longer.
PING_SECONDS = 30
SILENT_SECONDS = 120
# The server's own limit for that silence.
LONGEST_SILENCE = 31_536_000
# A ping to a server that hangs: the release finds out what became of the lock.
PING_LIMIT = 10


class NamedLock(Lock):
    """A session's lock by name. The name is the server's, so the database's name is part of it."""

    name: str

    def call(self, function: str) -> bool:
        """One of the server's functions for such locks."""
        return bool(self.first_row(f"SELECT {function}", self.name)[0] == 1)

    def try_get(self) -> bool:
        return self.call("GET_LOCK(%s, 0)")

    def release(self) -> bool:
        return self.call("RELEASE_LOCK(%s)")

    def holder(self) -> str:
        return self.current_holder() or "nobody any more"

    def current_holder(self) -> str | None:
        (number,) = self.first_row("SELECT IS_USED_LOCK(%s)", self.name)
        if number is None:
            return None
        # Sessions of other accounts are seen by those with the right PROCESS only.
        row = self.first_row("SELECT user, host FROM information_schema.processlist WHERE id = %s", number)
        return f"connection {number}" + (f" (user {row[0]}, client {row[1]})" if row else "")


class MySQLLock(NamedLock):
    """On a session of its own."""

    def __init__(self, connection: BaseDatabaseWrapper, lock_id: int) -> None:
        super().__init__(connection, lock_id)
        self.pings = True
        self.ended = Event()
        self.pinger = Thread(target=self.ping, daemon=True)

    def current_holder(self) -> str | None:
        self.name = lock_name(f"migrate-{self.id}", self.connection)
        return super().current_holder()

    def open(self) -> None:
        self.connection = own_session(self.original, {})
        self.name = lock_name(f"migrate-{self.id}", self.connection)
        self.pings = has_system_threads()
        with self.connection.cursor() as cursor:
            cursor.execute("SET SESSION wait_timeout = %s", [SILENT_SECONDS if self.pings else LONGEST_SILENCE])

    def try_acquire(self) -> bool:
        acquired = self.try_get()
        if acquired and self.pings:
            self.connection.inc_thread_sharing()
            self.pinger.start()
        return acquired

    def ping(self) -> None:
        """Says that we are still there: the server ends a session that is silent for longer, and its lock with it."""
        while not self.ended.wait(PING_SECONDS):
            try:
                self.first_row("SELECT 1")
            except Error:
                return  # which the release finds out

    def release(self) -> bool:
        self.end_pings()
        return not self.pinger.is_alive() and super().release()

    def end_pings(self) -> None:
        self.ended.set()
        if self.pinger.is_alive():
            self.pinger.join(PING_LIMIT)

    def close(self) -> None:
        self.end_pings()
        if not self.pinger.is_alive():  # else it still uses it, and the end of the process closes it
            super().close()


def has_system_threads() -> bool:
    """Whether a thread runs while another one waits for a server. Those of gevent and eventlet do not, as the drivers
    in C know nothing of them."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    greenlets = (gevent is not None and gevent.is_module_patched("threading")) or (
        eventlet is not None and eventlet.is_monkey_patched("thread")
    )
    return not greenlets


class MySQLStatementLock(NamedLock):
    """On the session that migrates."""

    def open(self) -> None:
        self.name = lock_name(f"at-work-{self.id}", self.connection)

    def current_holder(self) -> str | None:
        self.name = lock_name(f"at-work-{self.id}", self.connection)
        return super().current_holder()

    def try_acquire(self) -> bool:
        if self.try_get():
            return True
        query = "SELECT command FROM information_schema.processlist WHERE id = IS_USED_LOCK(%s)"
        state = self.first_row(query, self.name)
        return state is not None and state[0] == "Sleep"

    def holder(self) -> str:
        return ORPHAN_PREFIX + super().holder()


def lock_name(prefix: str, connection: BaseDatabaseWrapper) -> str:
    """A lock's name within the server's limit. The database may stand in a file of options alone."""
    database = connection.settings_dict["NAME"] or first_row(connection, "SELECT DATABASE()")[0] or ""
    name = f"{prefix}-{database}"
    return name if len(name) <= NAME_LIMIT else f"{prefix}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"
