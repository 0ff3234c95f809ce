"""The usual case, told at a glance: a manage.py in the working directory, a server that runs on this interpreter, and
nothing that says otherwise. Whatever is in doubt is left to the search. Parses on Python 3.6.

Every start of a Job waits for what is loaded, so this is a module of its own.
"""

import os
import re
import sys
from typing import List, Optional, Sequence

from ..start import MANAGE, SETTINGS_VARIABLE, Start
from .files import is_current_interpreter, read_text, which

SERVERS = ("gunicorn", "uvicorn", "granian", "hypercorn", "daphne", "waitress-serve")
# Options that say where the project lies, or how its process is set up.
TELLING = re.compile(r"^(-e|-c|--env|--config|--chdir|--pythonpath|--app-dir|--working-dir|--settings|--env-file|-C)")
APPLICATION = re.compile(r"^([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?::[A-Za-z_]\w*)?$")
SETTINGS = re.compile(r"DJANGO_SETTINGS_MODULE['\"]\s*(?:,|\]\s*=)\s*['\"]([\w.]+)['\"]")
SHEBANG = re.compile(r"^#!\s*(/\S*/(?:python|pypy)[0-9.]*)\s*\n")


def usual_start(command: Sequence[str]) -> Optional[Start]:
    """How commands start, where nothing is in doubt."""
    directory = os.getcwd()
    path = os.path.join(directory, MANAGE)
    text = read_text(path)
    if text is None or not has_django() or os.environ.get("PYTHONPATH"):
        return None
    if command and not (is_plain(command, directory) and agrees(text, command, directory)):
        return None
    return Start(script=path, why="%s of the working directory %s" % (MANAGE, directory), search=(directory,))


def has_django() -> bool:
    """Whether this interpreter has Django, as a package like others."""
    return any(os.path.isfile(os.path.join(entry, "django", "core", "__init__.py")) for entry in sys.path if entry)


def is_plain(command: Sequence[str], directory: str) -> bool:
    """Whether a command is that of a server which runs on this interpreter, with options that matter to it alone."""
    if os.path.basename(command[0]) not in SERVERS or any("$" in word or TELLING.match(word) for word in command):
        return False
    if "GUNICORN_CMD_ARGS" in os.environ or os.path.exists(os.path.join(directory, "gunicorn.conf.py")):
        return False
    server = which(command[0], os.environ.get("PATH"), directory)
    if server is None:
        return True
    found = SHEBANG.match((read_text(server) or "")[:256])
    return found is not None and is_current_interpreter(found.group(1))


def agrees(manage: str, command: Sequence[str], directory: str) -> bool:
    """Whether what the server loads has the settings that manage.py has, as far as their sources say."""
    if os.environ.get(SETTINGS_VARIABLE):
        return True
    wanted: List[str] = SETTINGS.findall(manage)
    for word in command[1:]:
        match = APPLICATION.match(word)
        source = match and read_text(os.path.join(directory, *match.group(1).split(".")) + ".py")
        if source:
            return len(wanted) == 1 and set(SETTINGS.findall(source)) <= set(wanted)
    return False
