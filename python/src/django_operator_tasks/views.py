"""The probes as views, for projects that want them behind their own middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.db import connections
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import classonlymethod
from django.utils.functional import classproperty
from django.views.generic import View

from . import responses
from .probes import ReadinessProbe, load_probes, validate_probes


class ProbeView(View):
    """No transaction around it, as ATOMIC_REQUESTS has it: it has to answer without a database. And no login, as
    LoginRequiredMiddleware has it."""

    @classonlymethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        view: Any = super().as_view(**initkwargs)
        for alias in connections:
            view = non_atomic_requests(using=alias)(view)
        view.login_required = False
        return cast("Callable[..., HttpResponseBase]", view)


class LivenessView(ProbeView):
    """A process that answers is alive."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return responses.alive(request)


class ReadinessView(ProbeView):
    """Whether what the process needs is there: 200, or 503 by the first probe that says no."""

    setting = "DJK8S_READINESS_PROBES"

    @classproperty
    def probes(cls) -> list[ReadinessProbe]:
        """The probes of the settings; a subclass may have others."""
        return load_probes(cls.setting)

    @classonlymethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        """The view, after a look at the settings: wrong ones are reported at the start.

        :raises ImproperlyConfigured: if the setting names no probe, or what is none.
        """
        if "setting" in initkwargs:
            initkwargs.setdefault("probes", load_probes(initkwargs["setting"]))
        validate_probes(cls.setting, initkwargs.get("probes") or cls.probes)
        return super().as_view(**initkwargs)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return responses.ready(self.probes, request)


class StartupView(ReadinessView):
    """Whether the process has started; not asked again once it has."""

    setting = "DJK8S_STARTUP_PROBES"
    startup_state = responses.StartupState()  # each view gets one of its own

    @classonlymethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        """The view, which remembers for itself alone."""
        return super().as_view(**{"startup_state": responses.StartupState(), **initkwargs})

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.startup_state.respond(self.probes, request)
