"""What the programs of a container's command say of the project: its directories, its WSGI, ASGI or Celery modules,
the variables that its process gets. Parses on Python 3.6."""

import os
import re
import shlex
from typing import Dict, List, NamedTuple, Optional

from ..start import MANAGE, SETTINGS_VARIABLE
from .files import unique
from .programs import SERVERS, Program, is_interpreter
from .shell import State, is_known

APPLICATION = re.compile(r"^([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(:[A-Za-z_][\w.]*(?:\(.*\))?)?$")
# Options of gunicorn without a value: what follows another one is its value, and not the application.
GUNICORN_FLAGS = [
    "--reload",
    "--preload",
    "--daemon",
    "-D",
    "--check-config",
    "--print-config",
    "--no-sendfile",
    "--reuse-port",
    "--spew",
    "-R",
    "--capture-output",
    "--enable-stdio-inheritance",
    "--disable-redirect-access-to-syslog",
    "--log-syslog",
    "--initgroups",
    "--proxy-protocol",
    "--do-handshake-on-connect",
    "--suppress-ragged-eofs",
    "--strip-header-spaces",
    "--no-control-socket",
]
# Options whose values look like applications.
NO_APPLICATIONS = ("-k", "--worker-class", "--logger-class", "-b", "--bind", "-c", "--config")
MODULE_NAME = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")


class Application(NamedTuple):
    """A module that a server loads."""

    name: str
    by: str


class Clues:
    """All that the command says."""

    def __init__(self, directory: str, variables: Dict[str, str]) -> None:
        self.directory = directory
        self.search: List[str] = []
        self.places: List[str] = []  # where a manage.py may lie, and nothing is imported from
        self.environments: List[str] = []  # directories of virtual environments
        self.applications: List[Application] = []
        self.files: List[Application] = []  # modules that are given as files
        self.settings: List[str] = []
        self.perhaps_settings: List[str] = []
        self.tried: List[str] = []  # interpreters, where none has Django
        self.programs: List[Program] = []
        self.configs: List[Program] = []
        self.scripts: List[str] = []  # files that Python is given to run
        self.modules: List[str] = []  # what follows `python -m`
        self.variables = variables
        self.exported: Dict[str, str] = {}  # what the project's process gets beyond what the container has

    def directories(self) -> List[str]:
        """Where the project may lie, the likeliest first: what the command names, then what is imported from."""
        python_path = self.variables.get("PYTHONPATH", "").split(os.pathsep)
        named = [*self.search, *(entry for entry in python_path if entry)]
        return unique([os.path.join(self.directory, entry) for entry in named if is_known(entry)])


def read_clues(programs: List[Program], directory: str, variables: Dict[str, str]) -> Clues:
    """From the programs, in order; where the last one is started is where the project's process is."""
    clues = Clues(directory, variables)
    for program in programs:
        clues.programs.append(program)
        clues.search.append(program.directory)
        if program.base in SERVERS:
            read_server(clues, program, program.base)
        elif is_interpreter(program.base):
            read_python(clues, program)
        elif program.base in ("django-admin", "django-admin.py"):
            read_management_options(clues, program)
        elif program.base.endswith(".py"):
            read_script(clues, program, program.name, program.arguments)
    if programs:
        last = main_program(programs)
        clues.directory, clues.variables = last.directory, last.variables
        clues.exported = {name: last.variables[name] for name in sorted(last.exported) if name in last.variables}
        settings = clues.exported.get(SETTINGS_VARIABLE)
        if settings:
            clues.settings.append(settings)
        elif not os.environ.get(SETTINGS_VARIABLE):
            clues.perhaps_settings += last.perhaps_settings
        clues.settings = [name for name in clues.settings if is_known(name)]
        clues.environments = [name for name in clues.environments if is_known(name)]
        chdir = [value for program in programs for value in chdir_options(program) if is_known(value)]
        if chdir:
            clues.directory = os.path.normpath(os.path.join(last.directory, chdir[-1]))
        clues.places += last.perhaps_directories
    return clues


def main_program(programs: List[Program]) -> Program:
    """The last one that is a server or Python, else the last one."""
    for program in reversed(programs):
        if program.base in SERVERS or is_interpreter(program.base):
            return program
    return programs[-1]


def chdir_options(program: Program) -> List[str]:
    if server_name(program) not in SERVERS:
        return []
    return program.option("--chdir", "--chdir2", "--working-dir", "--workdir")


def server_name(program: Program) -> str:
    """The server that a program is, also by `python -m`."""
    return module_of(program) or program.base


def module_of(program: Program) -> Optional[str]:
    """What follows `python -m`."""
    if not is_interpreter(program.base):
        return None
    words = program.arguments
    for n, word in enumerate(words):
        if word == "-m":
            return words[n + 1] if n + 1 < len(words) else None
        if not word.startswith("-") and (n == 0 or words[n - 1] not in ("-X", "-W")):
            return None
        if word == "-c":
            return None
    return None


def read_python(clues: Clues, program: Program) -> None:
    module = module_of(program)
    words = program.arguments
    if module is not None:
        if module in SERVERS:
            read_server(clues, program, module, words[words.index("-m") + 2 :])
        elif module == "django":
            read_management_options(clues, program)
        else:
            clues.modules.append(module)
        return
    n = 0
    while n < len(words) and words[n].startswith("-") and words[n] != "-c":
        n += 2 if words[n] in ("-X", "-W") else 1
    if n < len(words) and words[n] != "-c":
        read_script(clues, program, words[n], words[n + 1 :])


def read_script(clues: Clues, program: Program, name: str, words: List[str]) -> None:
    """A file that Python is given to run."""
    script = os.path.normpath(os.path.join(program.directory, name))
    if os.path.basename(script) in SERVERS:
        read_server(clues, program, os.path.basename(script), words)
        return
    if not is_known(script):
        return
    clues.places.append(os.path.dirname(script))
    clues.scripts.append(script)
    if os.path.basename(script) == MANAGE:
        read_management_options(clues, program)


def read_management_options(clues: Clues, program: Program) -> None:
    clues.settings += [name for name in program.option("--settings") if MODULE_NAME.match(name)]
    clues.search += [os.path.join(program.directory, value) for value in program.option("--pythonpath")]


def read_server(clues: Clues, program: Program, server: str, words: Optional[List[str]] = None) -> None:
    """What the options and arguments of a server say."""
    words = program.arguments if words is None else words
    if server == "gunicorn":
        words = shlex_words(program.variables.get("GUNICORN_CMD_ARGS", "")) + words
    view = Program([server, *words], State(program.directory, program.variables), program.runner)
    search = view.option("--pythonpath", "--python-path", "--pp", "--app-dir", "--chdir", "--working-dir", "--workdir")
    clues.search += [os.path.join(program.directory, each) for value in search for each in value.split(",")]
    environment = view.option("-e", "--env", "--raw-env") if server in ("gunicorn", "uwsgi") else []
    clues.settings += [value.split("=", 1)[1] for value in environment if value.startswith(SETTINGS_VARIABLE + "=")]
    if server == "celery":
        named = view.option("-A", "--app")
        clues.applications += [Application(name.split(":")[0], "celery") for name in named]
        return
    if server == "uwsgi":
        clues.applications += [Application(v.split(":")[0], server) for v in view.option("-w", "--module", "--wsgi")]
        clues.files += [Application(v, server) for v in view.option("--wsgi-file", "--file")]
        clues.environments += view.option("-H", "--home", "--venv", "--virtualenv")
        clues.configs.append(view)
        return
    if server in ("gunicorn", "hypercorn"):
        clues.configs.append(view)
    found = application_words(words, server)
    clues.applications += [Application(word.split(":")[0], server) for word in found]
    if server == "mod_wsgi-express":
        clues.files += [Application(word, server) for word in words if word.endswith((".wsgi", ".py"))]


def application_words(words: List[str], server: str) -> List[str]:
    """Which of a server's arguments are applications."""
    found, bare = [], []
    for n, word in enumerate(words):
        match = APPLICATION.match(word)
        if match is None or word.startswith("-"):
            continue
        before = words[n - 1] if n else ""
        if match.group(2) and before not in NO_APPLICATIONS:
            found.append(word)
        elif server == "gunicorn" and not (
            before.startswith("-") and before != "-" and before not in GUNICORN_FLAGS and "=" not in before
        ):
            bare.append(word)
    return found or bare[-1:]


def shlex_words(text: str) -> List[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
