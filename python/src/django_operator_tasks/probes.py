"""What has to be there before a process can take requests. A probe raises NotReady, or returns."""

from __future__ import annotations

import abc
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from inspect import iscoroutinefunction
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse, HttpResponseServerError

from .conf import lock_only_aliases, settings
from .db.connections import is_reused, reopen
from .db.query_log import without_query_log
from .job.scrub import scrubbed

logger = logging.getLogger("django_operator_tasks.probe")
KEY_SECONDS = 10
NO_PROBE = "is no django_operator_tasks.probes.ReadinessProbe"


class NotReady(Exception):
    """Raised by a probe; its content and status are what the client gets."""

    details = ""  # more than the client gets, for the log

    def __init__(self, content: str = "Not ready", status: int = 503, *, details: str = "") -> None:
        self.content = content
        self.details = details
        self.status = status
        super().__init__(content)

    def response(self) -> HttpResponse:
        """The HTTP response to a client that asked."""
        return HttpResponseServerError(content=self.content, status=self.status, content_type="text/plain")


class ReadinessProbe(abc.ABC):
    """The base of all probes."""

    @abc.abstractmethod
    def ready(self, request: HttpRequest | None) -> None:
        """Returns if all is well. `request` is None outside of HTTP.

        :raises NotReady: if the process cannot take requests now.
        """


class DatabaseProbe(ReadinessProbe):
    """Every database that requests may use answers a query."""

    def ready(self, request: HttpRequest | None) -> None:
        for name in sorted(set(connections) - lock_only_aliases()):
            try:
                answered = database_answers(connections[name])
            except Exception as error:
                details = f"database {name!r}: {error}"
                raise NotReady("db: could not connect to database", details=details) from error
            if not answered:
                raise NotReady("db: could not connect to database", details=f"database {name!r} is not responding")


class MigrationsProbe(ReadinessProbe):
    """The databases have every migration that this code knows. Once they do, this is not asked again."""

    databases: Sequence[str] = (DEFAULT_DB_ALIAS,)

    def __init__(self) -> None:
        self.migrated = False

    def ready(self, request: HttpRequest | None) -> None:
        from .db.pending import unapplied_migrations

        for name in () if self.migrated else self.databases:
            try:
                count = len(unapplied_migrations(connections[name]))
            except Exception as error:
                details = f"the migrations of database {name!r} cannot be read: {error}"
                raise NotReady("db: could not read migrations", details=details) from error
            if count:
                raise NotReady("db: migrations are not applied", details=f"database {name!r} lacks {count} migrations")
        self.migrated = True


class MemcachedProbe(ReadinessProbe):
    """Every server of every memcached cache answers. Caches of other kinds are not asked."""

    def ready(self, request: HttpRequest | None) -> None:
        from django.core.cache.backends.memcached import BaseMemcachedCache

        check_caches(lambda cache: isinstance(cache, BaseMemcachedCache), memcached_answers)


class RedisProbe(ReadinessProbe):
    """The primary and a replica of every Redis cache answer a PING: Django's own, and django-redis'."""

    def ready(self, request: HttpRequest | None) -> None:
        check_caches(is_redis, redis_answers)


class CacheProbe(ReadinessProbe):
    """Every cache, of whatever kind, gives back what it was given; a dummy cache is not asked."""

    def ready(self, request: HttpRequest | None) -> None:
        from django.core.cache.backends.dummy import DummyCache

        check_caches(lambda cache: not isinstance(cache, DummyCache), cache_round_trips)


def database_answers(connection: BaseDatabaseWrapper) -> bool:
    """Whether a database answers; a connection from before that the server gave up is opened again."""
    reused = is_reused(connection)
    try:
        return select_one(connection)
    except Error:
        if not reused or connection.connection is None or connection.in_atomic_block:
            raise  # it is a new one, or there is none to be had
        reopen(connection)
        return select_one(connection)


def select_one(connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1" + getattr(connection.features, "bare_select_suffix", ""))
        return cursor.fetchone() is not None


def check_caches(applies_to: Callable[[Any], bool], responds: Callable[[Any], bool]) -> None:
    """Asks the caches that the probe is about."""
    from django.core.cache import caches

    try:
        answered = all(responds(each) for each in filter(applies_to, caches.all()))
    except Exception as error:  # also of a backend whose driver is not there
        details = f"a cache: {type(error).__name__}: {error}"
        raise NotReady("cache: could not connect to cache", details=details) from error
    if not answered:
        raise NotReady("cache: could not connect to cache", details="a cache: a server does not answer")


def memcached_answers(cache: Any) -> bool:
    client = cache._cache
    if hasattr(client, "clients"):  # pymemcache, which has a client for each server
        return all(bool(each.version()) for each in client.clients.values())
    return len(client.get_stats()) == len(cache._servers)  # pylibmc, which leaves out servers that are silent


def is_redis(cache: Any) -> bool:
    modules = {kind.__module__ for kind in type(cache).__mro__}
    return bool(modules & {"django.core.cache.backends.redis", "django_redis.cache"})


def redis_answers(cache: Any) -> bool:
    servers = cache.client if hasattr(cache, "client") else cache._cache  # of django-redis, or Django's own
    return all(bool(servers.get_client(write=write).ping()) for write in (True, False))


def cache_round_trips(cache: Any) -> bool:
    key, value = "django-operator-tasks:" + secrets.token_hex(8), secrets.token_hex(8)
    cache.set(key, value, KEY_SECONDS)
    try:
        return bool(cache.get(key) == value)
    finally:
        cache.delete(key)


def probe_classes(setting: str) -> tuple[Callable[[], Any], ...]:
    """What a setting names: classes, or functions that make probes.

    :raises ImproperlyConfigured: if one of them cannot be a probe.
    """
    found = tuple(getattr(settings, setting))
    for kind in found:
        if not callable(kind) or (isinstance(kind, type) and not issubclass(kind, ReadinessProbe)):
            raise ImproperlyConfigured(f"{setting}: {kind} {NO_PROBE}")
        refuse_async(setting, kind)
    return found


@cache
def probe_instances(kinds: tuple[Callable[[], Any], ...]) -> list[ReadinessProbe]:
    """One probe of each kind for the whole process, as some remember what they saw."""
    return [kind() for kind in kinds]


def validate_probes(setting: str, probes: Sequence[Any]) -> list[ReadinessProbe]:
    """The probes, if they are such.

    :raises ImproperlyConfigured: if there are none, or one is something else.
    """
    if not probes:
        raise ImproperlyConfigured(f"{setting} names no probe; leave it out for the default")
    for probe in probes:
        if not isinstance(probe, ReadinessProbe):
            raise ImproperlyConfigured(f"{setting}: {probe} {NO_PROBE}")
        refuse_async(setting, probe)
    return list(probes)


def refuse_async(setting: str, probe: object) -> None:
    """One that nobody awaits would be content whatever it finds."""
    if iscoroutinefunction(getattr(probe, "ready", None)):
        raise ImproperlyConfigured(
            f"{setting}: ready() of {probe} is async; leave `async` out: under ASGI it runs in a thread"
        )


def load_probes(setting: str) -> list[ReadinessProbe]:
    """The probes that a setting names.

    :raises ImproperlyConfigured: if there are none, or one is something else.
    """
    return validate_probes(setting, probe_instances(probe_classes(setting)))


def usable_connections() -> list[Any]:
    """The connections that have a driver; a missing driver matters only where its connection is used."""
    found = []
    for alias in connections:
        with suppress(Exception):
            found.append(connections[alias])
    return found


def run_probes(probes: Sequence[ReadinessProbe], request: HttpRequest | None) -> None:
    """Asks one probe after the other, and tells the log what the client is not told of the first that is not ready.

    :raises NotReady: as that one did.
    """
    with without_query_log(usable_connections()):
        for probe in probes:
            try:
                probe.ready(request)
            except NotReady as not_ready:
                if not_ready.details or request is not None:  # else the caller sees it
                    said = " ".join(scrubbed(not_ready.details or not_ready.content).split())
                    logger.warning("%s is not ready: %s", type(probe).__name__, said)
                raise


@dataclass(frozen=True)
class ProbeResult:
    """What one probe said."""

    probe: ReadinessProbe
    seconds: float
    failure: NotReady | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = {"probe": type(self.probe).__name__, "ready": not self.failure, "seconds": round(self.seconds, 4)}
        return {**found, "message": self.failure.content} if self.failure else found


def run_all_probes(probes: Sequence[ReadinessProbe], request: HttpRequest | None) -> list[ProbeResult]:
    """Asks every probe, also after one that is not ready."""
    results = []
    for probe in probes:
        started, failure = time.monotonic(), None
        try:
            run_probes([probe], request)
        except NotReady as not_ready:
            failure = not_ready
        results.append(ProbeResult(probe, time.monotonic() - started, failure))
    return results
