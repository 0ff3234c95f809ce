"""A lock in a file, for SQLite."""

from __future__ import annotations

import os
from typing import IO

from ..errors import TaskError
from ..job.durability import sqlite_file
from .base import Lock


class FileLock(Lock):
    """A file beside a SQLite database; the kernel gives it back when its holder dies."""

    file: IO[str] | None = None
    path = ""

    def open(self) -> None:
        database = sqlite_file(self.connection)
        if database is not None:
            self.path = self.path_beside(database)
            try:
                self.file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 - open for as long as it is held
            except OSError as error:
                raise TaskError(
                    "DatabaseUnreachable", f"cannot open the lock file beside the SQLite database: {error}"
                ) from error

    def close(self) -> None:
        if self.file:
            self.file.close()

    def try_acquire(self) -> bool:
        if not self.file:
            return True  # a database in memory has nobody else
        import fcntl

        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            raise TaskError(
                "LockUnsupported",
                f"the file system of {self.path} has no locks ({error}); use --lock-mode none (spec.lock.mode: None),"
                " and see to it yourself that only one migrates",
            ) from error
        self.file.seek(0)
        self.file.truncate()
        self.file.write(f"process {os.getpid()} on {os.uname().nodename}")
        self.file.flush()
        return True

    def current_holder(self) -> str | None:
        import fcntl

        database = sqlite_file(self.connection)
        if database is None:
            return None
        try:
            with open(self.path_beside(database), encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read() or "somebody who left no name"
        except OSError:
            return None
        return None

    def path_beside(self, database: str) -> str:
        return f"{os.path.realpath(database)}.migrate-{self.id}.lock"

    def release(self) -> bool:
        if not self.file:
            return True
        import fcntl

        try:
            ours = os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path))
            fcntl.flock(self.file, fcntl.LOCK_UN)
        except OSError:
            ours = False  # somebody removed it, and others may lock a new one
        return ours

    def holder(self) -> str:
        if not self.file:
            return "nobody"
        self.file.seek(0)
        return self.file.read() or "somebody who left no name"
