"""Keeps queries that nobody looks for out of `connection.queries` and of the logger django.db.backends."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

logger = logging.getLogger("django.db.backends")


class DroppedQueries(deque[Any]):
    """Stands for the log of a connection, and forgets what it is told."""

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self.original = connection.queries_log

    def append(self, query: Any) -> None:
        """Of which nobody hears."""


@contextmanager
def without_query_log(connections: list[Any]) -> Iterator[None]:
    """While the block runs, in this thread."""
    thread = get_ident()

    def is_of_another_thread(record: logging.LogRecord) -> bool:
        return record.thread != thread

    for each in connections:
        if not isinstance(each.queries_log, DroppedQueries):  # else another thread shares it, and asks as well
            each.queries_log = DroppedQueries(each)
    logger.addFilter(is_of_another_thread)
    try:
        yield
    finally:
        logger.removeFilter(is_of_another_thread)
        for each in connections:
            if isinstance(each.queries_log, DroppedQueries):
                each.queries_log = each.queries_log.original
