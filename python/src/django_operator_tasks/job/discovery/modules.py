"""Where modules lie, without importing anything. Parses on Python 3.6."""

import importlib.util
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from typing import Optional, Sequence


def find_module(name: str, directories: Sequence[str]) -> Optional[str]:
    """The source of a module; of a package its `__init__`."""
    spec = find_spec(name, directories)
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    return spec.origin


def find_spec(name: str, directories: Sequence[str]) -> Optional[ModuleSpec]:
    """The module as a process finds it that has these directories before its own path."""
    first, *rest = name.split(".")
    spec = None
    with suppress(ImportError, ValueError, AttributeError):
        spec = PathFinder.find_spec(first, [*directories, *sys.path])
        # What is installed for development has a finder of its own.
        spec = spec or importlib.util.find_spec(first)
        for part in rest:
            if spec is None or spec.submodule_search_locations is None:
                return None
            # By its last name: a package without `__init__` asks for the one above it, which nobody has imported.
            spec = PathFinder.find_spec(part, list(spec.submodule_search_locations))
    return spec
