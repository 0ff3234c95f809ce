"""The probes as a command, for containers that serve no HTTP."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...probes import NotReady, ProbeResult, load_probes, run_all_probes, run_probes
from ...responses import summary


class Command(BaseCommand):
    """Ends with 0 or 1. Unlike the other commands it leaves the termination log alone, which is that of the
    process that it looks after."""

    help = (
        "Allows Kubernetes to probe the readiness and liveness state of the container with an exec instead of an"
        " HTTP request."
    )
    # A probe runs every few seconds; the project was checked when it started.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        for short, long, what in (
            ("-R", "--ready", "readiness"),
            ("-L", "--live", "liveness"),
            ("-H", "--health", "health"),
            ("-S", "--startup", "startup"),
        ):
            parser.add_argument(short, long, action="store_true", help=f"Check the {what} state of the container")
        parser.add_argument("-q", "--quiet", action="store_true", help="Suppress output for the probe check")
        parser.add_argument("--json", action="store_true", help="Say what each probe found, in JSON")
        parser.add_argument(
            "--skip-checks", action="store_true", help="Skip system checks. They are skipped in any case."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        live = options["live"] or options["health"]
        if live + options["ready"] + options["startup"] > 1:
            raise CommandError("ask for one of --live (or --health), --ready and --startup at a time")
        if live:
            self.end(options, [])
        if options["ready"]:
            self.ask("DJK8S_READINESS_PROBES", options)
        if options["startup"]:
            self.ask("DJK8S_STARTUP_PROBES", options)
        raise CommandError("ask for one of --live (or --health), --ready and --startup")

    def ask(self, setting: str, options: dict[str, Any]) -> NoReturn:
        try:
            probes = load_probes(setting)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.end(options, run_all_probes(probes, None))
        try:
            run_probes(probes, None)
        except NotReady as not_ready:
            self.say(options, not_ready.content)
            sys.exit(1)
        self.end(options, [])

    def end(self, options: dict[str, Any], results: list[ProbeResult]) -> NoReturn:
        self.say(options, json.dumps(summary(results)) if options["json"] else "Ok")
        sys.exit(int(any(result.failure for result in results)))

    def say(self, options: dict[str, Any], text: str) -> None:
        if not options["quiet"]:
            self.stdout.write(text)
