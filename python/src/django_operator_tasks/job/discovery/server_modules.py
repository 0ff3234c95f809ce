"""The modules that the command's servers load: which settings they set, and where those are imported from."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Sequence
from functools import cached_property

from .clues import Application, Clues
from .files import parents
from .modules import find_module
from .sources import ImportedModule, changes_import_path, import_apart, only, parse, settings_set_by


class ServerModule:
    """A module that a server loads, by its name or as a file."""

    def __init__(self, application: Application, clues: Clues, import_path: Sequence[str]) -> None:
        self.name, self.by = application
        self.clues = clues
        self.import_path = import_path
        self.is_file = application in clues.files
        self.source = os.path.join(clues.directory, self.name) if self.is_file else find_module(self.name, import_path)
        # Celery loads the module of that name in a package, too.
        self.of_celery = find_module(f"{self.name}.celery", import_path) if self.by == "celery" else None

    @cached_property
    def trees(self) -> list[ast.Module | None]:
        """The syntax trees of what is loaded, its own first."""
        return [parse(source) for source in (self.source, self.of_celery)]

    @cached_property
    def changes_import_path(self) -> bool:
        """Whether it adds directories to import from, as its source says."""
        return any(map(changes_import_path, self.trees))

    @cached_property
    def imported(self) -> ImportedModule:
        """What is known after importing it."""
        if self.source is None:
            return ImportedModule()
        module = f"{self.name}.celery" if self.of_celery else self.name
        loaded = self.source if self.is_file else module
        return import_apart(loaded, self.import_path, self.clues.exported, self.clues.directory)

    def settings(self) -> str:
        """The settings module that it sets: by its source, else by importing it; empty if none is known."""
        named = only({name for tree in self.trees for name in settings_set_by(tree)})
        if named is not None and not self.must_be_imported_for(named):
            return named
        return self.imported.settings or named or ""

    def must_be_imported_for(self, settings: str) -> bool:
        """Whether only importing it tells where settings are imported from."""
        return self.changes_import_path or find_module(settings, self.import_path) is None

    def packages(self) -> Iterator[tuple[str, str]]:
        """The directories of the packages that it is in, with their names, and the one that these are imported from,
        without a name; of a file the directories around it."""
        if self.source is None:
            return
        names = [] if self.is_file else self.name.split(".")
        if os.path.basename(self.source) != "__init__.py":
            names = names[:-1]
        directory = os.path.dirname(self.source)
        for above, around in enumerate([directory, *parents(directory)][: self.name.count(".") + 2]):
            yield around, ".".join(names[: max(len(names) - above, 0)])
