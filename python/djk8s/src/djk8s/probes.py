"""The probes, and the base of a project's own."""

import logging

from django_operator_tasks.probes import (
    CacheProbe,
    DatabaseProbe,
    MemcachedProbe,
    MigrationsProbe,
    NotReady,
    ReadinessProbe,
    RedisProbe,
)

__all__ = [
    "CacheProbe",
    "DatabaseProbe",
    "MemcachedProbe",
    "MigrationsProbe",
    "NotReady",
    "ReadinessProbe",
    "RedisProbe",
    "logger",
]

logger = logging.getLogger("djk8s.probe")
