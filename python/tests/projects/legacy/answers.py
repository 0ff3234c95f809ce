"""What the project answers by HTTP, and the commands' options, as JSON."""

import json
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "legacy.settings")
import django

django.setup()
from django.core.management import get_commands, load_command_class
from django.test import Client
from django.urls import reverse

PATHS = [
    "/livez",
    "/healthz",
    "/readyz",
    "/internal/ready",
    "/live",
    "/ready",
    "/views/livez",
    "/views/healthz",
    "/views/readyz",
    "/other",
    "/livez/",
]
found = {}
client = Client(raise_request_exception=False)
for secure in (False, True):
    for host in ("10.0.0.1", "shop.example.com"):
        for method in ("get", "head", "post", "options"):
            for path in PATHS:
                response = getattr(client, method)(path, secure=secure, headers={"host": host})
                body = response.content.decode() if response.status_code in (200, 503, 418) else ""
                kind = response.headers.get("Content-Type") if body else ""
                found["%s %s %s %s" % (method, secure, host, path)] = [
                    response.status_code,
                    kind,
                    body,
                    response.headers.get("Location"),
                ]
commands = {}
for name in ("ensureadmin", "lockedmigrate", "wait4db", "probe"):
    command = load_command_class(get_commands()[name], name)
    parser = command.create_parser("manage.py", name)
    commands[name] = {
        "/".join(action.option_strings) or action.dest: {
            "dest": action.dest,
            "default": action.default,
            "metavar": action.metavar,
            "nargs": action.nargs,
            "choices": list(action.choices) if action.choices else None,
            "help": action.help,
        }
        for action in parser._actions
    }
names = {name: reverse(name) for name in ("liveness-probe", "health-probe", "readiness-probe", "live", "ready")}
json.dump({"answers": found, "commands": commands, "names": names}, sys.stdout, default=str)
