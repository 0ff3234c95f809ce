"""How management commands of a project start. Parses on Python 3.6."""

from typing import NamedTuple, Tuple

MANAGE = "manage.py"
SETTINGS_VARIABLE = "DJANGO_SETTINGS_MODULE"


class Start(NamedTuple):
    """What is run, and where from."""

    script: str = ""  # a file such as manage.py
    module: str = ""  # as after `python -m`
    console: str = ""  # the name or the path of a console script
    arguments: Tuple[str, ...] = ()  # what comes before the command
    settings: str = ""  # where nothing that runs sets them
    why: str = ""  # why this one was chosen; empty where the target's owner said so
    directory: str = ""  # where it starts; empty: in the working directory
    search: Tuple[str, ...] = ()  # directories to import from, beside its own
    search_first: Tuple[str, ...] = ()  # those before all others
    search_last: Tuple[str, ...] = ()  # and after them

    @property
    def program(self) -> str:
        """What is run, in words."""
        return self.script or (f"python -m {self.module}" if self.module else self.console)

    def annotation(self, python: str) -> str:
        """The value of the annotation that says the same."""
        if self.console:
            words = [self.console]
        else:
            words = [python, self.script] if self.script else [python, "-m", self.module]
        settings = [f"{SETTINGS_VARIABLE}={self.settings}"] if self.settings else []
        return " ".join([*settings, *words, *self.arguments])
