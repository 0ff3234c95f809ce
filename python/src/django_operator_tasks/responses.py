"""The answers by HTTP: one word for the kubelet, JSON for `?format=json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse, JsonResponse

from .probes import Finding, NotReady, ReadinessProbe, check, examine_all

OK = 200
R = TypeVar("R", bound=HttpResponse)


def alive(request: HttpRequest) -> HttpResponse:
    """Whoever can say this is alive."""
    return in_json([]) if wants_json(request) else plain_ok()


def ready(probes: Sequence[ReadinessProbe], request: HttpRequest) -> HttpResponse:
    """What the probes say: 200, or the status of the first that is not ready (503)."""
    if wants_json(request):
        return in_json(examine_all(probes, request))
    try:
        check(probes, request)
    except NotReady as not_ready:
        return unlogged(not_ready.response())
    return plain_ok()


class Startup:
    """Whether the process has started; once it has, it has."""

    def __init__(self) -> None:
        self.done = False

    def answer(self, probes: Sequence[ReadinessProbe], request: HttpRequest) -> HttpResponse:
        """As `ready`, until that was a yes."""
        if self.done:
            return alive(request)
        response = ready(probes, request)
        self.done = response.status_code == OK
        return response


def wants_json(request: HttpRequest) -> bool:
    return request.GET.get("format") == "json"


def plain_ok() -> HttpResponse:
    return HttpResponse("Ok", status=OK, content_type="text/plain")


def unlogged(response: R) -> R:
    """The probe has told the log; Django would call each of them an error, and write to ADMINS."""
    marked: Any = response
    marked._has_been_logged = True
    return response


def in_json(findings: Sequence[Finding]) -> JsonResponse:
    response = JsonResponse(summary(findings), status=next((f.failure.status for f in findings if f.failure), OK))
    return unlogged(response)


def summary(findings: Sequence[Finding]) -> dict[str, object]:
    """What all of the probes said, for people and programs."""
    return {
        "status": "not ready" if any(finding.failure for finding in findings) else "ok",
        "probes": [finding.data() for finding in findings],
    }
