"""Answers Kubernetes' probes before any other middleware or view can touch a database, or refuse a host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from . import responses
from .conf import settings
from .probes import load_probes

Handler = Callable[[HttpRequest], HttpResponse]


class ProbeMiddleware:
    """Answers GET requests for the paths of the settings; all others go on. Belongs first in MIDDLEWARE.

    :raises ImproperlyConfigured: if the settings leave nothing to answer, or name what is no probe.
    """

    sync_capable = True
    async_capable = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # One that looks at the response takes it as such, not as something to be awaited, unless it says otherwise.
        first = next(base for base in cls.__mro__ if {"__call__", "async_capable"} & set(vars(base)))
        if "async_capable" not in vars(first):
            cls.async_capable = iscoroutinefunction(cls.__call__)
            cls.sync_capable = not cls.async_capable

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.probes = load_probes("DJK8S_READINESS_PROBES")
        self.startup_probes = load_probes("DJK8S_STARTUP_PROBES")
        self.startup_state = responses.StartupState()
        self.handlers: dict[str, Handler] = {
            **dict.fromkeys(settings.DJK8S_STARTUP_PATHS, self.startup),
            **dict.fromkeys(settings.DJK8S_READY_PATHS, self.ready),
            **dict.fromkeys(settings.DJK8S_HEALTH_PATHS, self.health),
        }
        if not settings.DJK8S_READY_PATHS and not settings.DJK8S_HEALTH_PATHS:
            raise ImproperlyConfigured("DJK8S_HEALTH_PATHS and DJK8S_READY_PATHS are both empty")
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.answer(request)
        handler = self.handler(request)
        return handler(request) if handler else cast(HttpResponseBase, self.get_response(request))

    async def answer(self, request: HttpRequest) -> HttpResponseBase:
        """As above, for ASGI: what may block runs in the thread that Django's other synchronous code uses."""
        handler = self.handler(request)
        if handler is None:
            return cast(HttpResponseBase, await self.get_response(request))
        if handler == self.health and type(self).health is ProbeMiddleware.health:
            return handler(request)  # which waits for nothing
        return await sync_to_async(handler, thread_sensitive=True)(request)

    def handler(self, request: HttpRequest) -> Handler | None:
        """Who answers the request, if it is a probe's; also where the project runs below a prefix."""
        if request.method != "GET":
            return None
        return self.handlers.get(request.path) or self.handlers.get(request.path_info)

    def health(self, request: HttpRequest) -> HttpResponse:
        """A process that answers is alive."""
        return responses.alive(request)

    def ready(self, request: HttpRequest) -> HttpResponse:
        """Whether what the process needs is there."""
        return responses.ready(self.probes, request)

    def startup(self, request: HttpRequest) -> HttpResponse:
        """Whether the process has started; not asked again once it has."""
        return self.startup_state.respond(self.startup_probes, request)
