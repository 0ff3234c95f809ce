"""The package's rooms: which may import which, and how large a file may be."""

import ast

import pytest
from conftest import SOURCE

PACKAGE = SOURCE / "django_operator_tasks"
LINES = 450
# What a module of each room may import of the package; a module or a folder.
ROOMS = {
    "errors": {"job"},
    "conf": set(),
    "heartbeat": set(),
    "job": {"job", "errors"},
    "user_fields": {"errors", "job"},
    "unique_violation": set(),
    "user_lookup": {"user_fields"},
    "users": {"job", "user_fields", "user_lookup", "unique_violation"},
    "migration_waits": {"conf", "db", "errors", "job", "locks"},
    "db": {"db", "errors", "job"},
    "base_command": {"job"},
    "locks": {"locks", "db", "errors", "job"},
    "probes": {"conf", "db", "job"},
    "responses": {"probes"},
    "middleware": {"conf", "probes", "responses"},
    "views": {"probes", "responses"},
    "urls": {"views"},
    "celery_heartbeat": {"heartbeat"},
    "checks": {"conf", "job", "middleware", "probes", "urls", "views"},
    "apps": {"celery_heartbeat", "checks"},
    "management": {
        "base_command",
        "conf",
        "db",
        "errors",
        "job",
        "locks",
        "migration_waits",
        "probes",
        "responses",
        "unique_violation",
        "user_fields",
        "users",
    },
    "__main__": {"job"},
    "__init__": set(),
}


def imports(path):
    """Rooms that a module imports, here or in a function."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level]
            names = [node.module.split(".")[0]] if node.module and not base else [each.name for each in node.names]
            found |= {base[0]} if base else set(names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("django_operator_tasks"):
            found |= {node.module.split(".")[1]} if "." in node.module else {each.name for each in node.names}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_room_may_and_is_one_room(path):
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert imports(path) - {room} <= ROOMS[room], f"{room} may not import {imports(path) - ROOMS[room] - {room}}"
    assert len(path.read_text().splitlines()) < LINES
