"""The answers by HTTP: one word for the kubelet, JSON for `?format=json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse, JsonResponse

from .probes import NotReady, ProbeResult, ReadinessProbe, run_all_probes, run_probes

OK = 200
R = TypeVar("R", bound=HttpResponse)


def alive(request: HttpRequest) -> HttpResponse:
    """Whoever can say this is alive."""
    return json_response([]) if wants_json(request) else plain_ok()


def ready(probes: Sequence[ReadinessProbe], request: HttpRequest) -> HttpResponse:
    """What the probes say: 200, or the status of the first that is not ready (503)."""
    if wants_json(request):
        return json_response(run_all_probes(probes, request))
    try:
        run_probes(probes, request)
    except NotReady as not_ready:
        return mark_as_logged(not_ready.response())
    return plain_ok()


class StartupState:
    """Whether the process has started; not asked again once it has."""

    def __init__(self) -> None:
        self.started = False

    def respond(self, probes: Sequence[ReadinessProbe], request: HttpRequest) -> HttpResponse:
        """As `ready`, until that was a yes."""
        if self.started:
            return alive(request)
        response = ready(probes, request)
        self.started = response.status_code == OK
        return response


def wants_json(request: HttpRequest) -> bool:
    return request.GET.get("format") == "json"


def plain_ok() -> HttpResponse:
    return HttpResponse("Ok", status=OK, content_type="text/plain")


def mark_as_logged(response: R) -> R:
    """The probe has told the log; Django would call each of them an error, and write to ADMINS."""
    marked: Any = response
    marked._has_been_logged = True
    return response


def json_response(results: Sequence[ProbeResult]) -> JsonResponse:
    response = JsonResponse(summary(results), status=next((f.failure.status for f in results if f.failure), OK))
    return mark_as_logged(response)


def summary(results: Sequence[ProbeResult]) -> dict[str, object]:
    """What all of the probes said, for people and programs."""
    return {
        "status": "not ready" if any(result.failure for result in results) else "ok",
        "probes": [result.as_dict() for result in results],
    }
