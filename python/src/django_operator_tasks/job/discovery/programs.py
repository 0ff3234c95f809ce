"""The programs that a container's command starts, seen through shells, scripts and wrappers. Parses on Python 3.6."""

import os
import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ..shebang import first_lines
from . import shell
from .files import read_text, which
from .shell import State, after_options, script_of

SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh"}
# Programs that start another one: options of theirs with a value in the next word, and how many words come before the
# other one's.
WRAPPERS: Dict[str, Any] = {
    "tini": ("-p -e", 0),
    "dumb-init": ("-r --rewrite", 0),
    "catatonit": ("", 0),
    "env": ("-u --unset -S -C --chdir", 0),
    "exec": ("-a", 0),
    "command": ("", 0),
    "nohup": ("", 0),
    "setsid": ("", 0),
    "stdbuf": ("-i -o -e", 0),
    "nice": ("-n", 0),
    "ionice": ("-c -n", 0),
    "timeout": ("-k -s --kill-after --signal", 1),
    "gosu": ("", 1),
    "sudo": ("-u --user -g --group -h -p -C -D --chdir", 0),
    "su-exec": ("", 1),
    "s6-setuidgid": ("", 1),
    "setpriv": ("", 0),
    "chpst": ("-u -U -e -n -P -m -d -o -p -f -c -r -t -l -L", 0),
    "with-contenv": ("", 0),
    "ddtrace-run": ("", 0),
    "opentelemetry-instrument": (
        "--traces_exporter --metrics_exporter --logs_exporter --service_name --exporter_otlp_endpoint"
        " --exporter_otlp_protocol --propagators --id_generator",
        0,
    ),
    "sentry-python": ("", 0),
    "newrelic-admin": ("", 1),
    "uv": ("-p --python --project --directory --env-file --extra --group --with --package --with-editable", 1),
    "poetry": ("-C --directory -P --project", 1),
    "pipenv": ("--python", 1),
    "pdm": ("-p --project", 1),
    "hatch": ("-e --env", 1),
    "rye": ("", 1),
    "conda": ("-n --name -p --prefix --cwd", 1),
    "mamba": ("-n --name -p --prefix --cwd", 1),
    "micromamba": ("-n --name -p --prefix --cwd", 1),
}
# Modules that run another module or file under `python -m`.
TRACERS = {"debugpy", "coverage", "cProfile", "kolo"}
# Servers of projects: where they are scripts for a shell, as those of pyenv are, it is not their text that tells.
SERVERS = {
    "gunicorn",
    "uvicorn",
    "granian",
    "hypercorn",
    "daphne",
    "waitress-serve",
    "waitress",
    "uwsgi",
    "mod_wsgi-express",
    "celery",
}
RUNNERS = {"uv", "poetry", "pipenv", "pdm", "hatch", "rye", "conda", "mamba", "micromamba"}
MOST_PROGRAMS = 64
INTERPRETER = re.compile(r"^(python|pypy)[0-9.]*$")
KUBELETS_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][\w.-]*)\)")


class Program:
    """A program, its arguments, and what it finds around it."""

    def __init__(self, words: Sequence[str], state: State, runner: Optional[str]) -> None:
        self.name, self.arguments = words[0], list(words[1:])
        self.directory = state.directory
        self.variables = state.variables
        self.exported = state.exported
        self.perhaps_directories = state.perhaps_directories
        self.perhaps_settings = state.perhaps_settings
        self.runner = runner  # such as uv, whose environment it is in

    @property
    def base(self) -> str:
        return os.path.basename(self.name)

    def path(self) -> Optional[str]:
        """Its file."""
        return which(self.name, self.variables.get("PATH"), self.directory)

    def option(self, *names: str) -> List[str]:
        """The values of an option, wherever it stands."""
        found = []
        for n, word in enumerate(self.arguments):
            for name in names:
                if word == name and n + 1 < len(self.arguments):
                    found.append(self.arguments[n + 1])
                elif word.startswith(name + "=") and name.startswith("--"):
                    found.append(word[len(name) + 1 :])
                elif word.startswith(name) and len(name) == 2 and len(word) > 2 and not word.startswith("--"):
                    found.append(word[2:].lstrip("="))
        return found


def started_programs(words: Sequence[str], directory: str, variables: Dict[str, str]) -> List[Program]:
    """What the words start, in order.

    :param words: the container's command and its arguments, as the pod template has them.
    """
    found: List[Program] = []

    def expand(match: Any) -> str:  # as the kubelet does
        return "$" if match.group(1) is None else variables.get(match.group(1), match.group(0))

    expanded = [KUBELETS_REFERENCE.sub(expand, word) for word in words]
    if expanded:
        Unwrapping(found).start(expanded, State(directory, dict(variables)))
    return found


class Unwrapping:
    """Goes from what is started to what that starts."""

    def __init__(self, found: List[Program]) -> None:
        self.found = found
        self.depth = 0
        self.reading: List[Tuple[str, ...]] = []  # scripts, with their arguments
        self.runner: Optional[str] = None

    def start(self, words: List[str], state: State) -> None:
        if self.depth >= shell.DEEPEST or len(self.found) >= MOST_PROGRAMS or not words:
            return
        self.depth += 1
        runner = self.runner
        try:
            self.unwrap(words, state)
        finally:
            self.depth -= 1
            self.runner = runner

    def unwrap(self, words: List[str], state: State) -> None:
        base = os.path.basename(words[0])
        if base in SHELLS:
            text, rest = script_of(words[1:])
            if text is not None:
                self.run_script(text, rest, state)
            elif rest:
                self.run_script(self.script_text(rest[0], state, any_file=True) or "", rest, state)
        elif base in ("su", "runuser"):
            if "--" in words and base == "runuser":
                self.start(words[words.index("--") + 1 :], state)
            elif "-c" in words[:-1]:
                self.run_script(words[words.index("-c") + 1], [], state)
        elif base in WRAPPERS:
            self.wrapped(base, words, state)
        elif is_interpreter(base) or base in SERVERS:
            self.found.append(Program(traced(words), state, self.runner))
        else:
            text = self.script_text(words[0], state, any_file=False)
            if text is not None:
                self.run_script(text, words, state)
                if "--" in words:  # such as wait-for-it
                    self.start(words[words.index("--") + 1 :], state)
            else:
                self.found.append(Program(words, state, self.runner))
                if "--" in words[1:]:
                    self.start(words[words.index("--") + 1 :], state)

    def run_script(self, text: str, arguments: List[str], state: State) -> None:
        script = (text, *arguments)
        if script in self.reading:  # it calls itself
            return
        self.reading.append(script)
        inner = state.copy()
        inner.arguments = list(arguments)
        shell.run(text, inner, lambda words, where: self.start(words, where.copy()), self.depth)
        self.reading.pop()

    def wrapped(self, base: str, words: List[str], state: State) -> None:
        valued, skipped = WRAPPERS[base]
        options, rest = after_options(words[1:], valued)
        inner = state.copy()
        for name, value in zip(options, options[1:]):
            if name in ("--directory", "-C", "--cwd", "--chdir"):
                inner.change_directory(value, perhaps=False)
        if base in RUNNERS:
            if rest[:1] not in (["run"], ["exec"]):
                return
            self.runner = base
            after, rest = after_options(rest[1:], valued + (" -m --module" if base == "uv" else ""))
            named = dict(zip(options + after, (options + after)[1:]))
            for option in ("-n", "--name", "-p", "--prefix") if base.endswith(("conda", "mamba")) else ():
                if shell.is_known(named.get(option, shell.UNKNOWN)):
                    inner.variables["CONDA_PREFIX"] = conda_environment(named[option], inner)
            for option in ("--directory", "-C"):
                if option in named:
                    inner.directory = state.directory
                    inner.change_directory(named[option], perhaps=False)
            for option in ("--project", "-P"):
                if shell.is_known(named.get(option, shell.UNKNOWN)):
                    inner.variables["UV_PROJECT"] = os.path.join(inner.directory, named[option])
            module = named.get("-m") or named.get("--module")
            if base == "uv" and module:
                rest = ["python", "-m", module, *rest]
        else:
            rest = rest[skipped:]
        if base == "env":
            while rest and shell.ASSIGNMENT.match(rest[0]):
                name, _, value = rest[0].partition("=")
                inner.assign(name, value, exported=True, perhaps=False)
                rest = rest[1:]
        self.start(rest, inner)

    def script_text(self, name: str, state: State, *, any_file: bool) -> Optional[str]:
        """The text of a file that a shell is to run."""
        path = which(name, state.variables.get("PATH"), state.directory)
        if path is None and any_file and os.path.isfile(os.path.join(state.directory, name)):
            path = os.path.join(state.directory, name)
        if path is None:
            return None
        if not any_file:
            try:
                first = first_lines(path)[0]
            except OSError:
                return None
            words = [os.path.basename(word) for word in first[2:].split()] if first.startswith("#!") else []
            if not SHELLS & set(words):
                return None
        text = read_text(path)
        return None if text is None or "'''exec' " in text[:4096] else text


def is_interpreter(base: str) -> bool:
    """Whether a program is Python, by its name alone."""
    return INTERPRETER.match(base) is not None


def traced(words: List[str]) -> List[str]:
    """What a tracer runs: `python -m debugpy --listen :1 -m gunicorn x` is `python -m gunicorn x`."""
    if words[1:2] != ["-m"] or words[2:3] == [] or words[2] not in TRACERS:
        return words
    rest = words[3:]
    if "-m" in rest:
        return [words[0], *rest[rest.index("-m") :]]
    scripts = [n for n, word in enumerate(rest) if word.endswith(".py")]
    return [words[0], *rest[scripts[0] :]] if scripts else words


def conda_environment(name: str, state: State) -> str:
    """The directory of an environment of conda's."""
    if "/" in name:
        return os.path.join(state.directory, name)
    root = state.variables.get("CONDA_ROOT_PREFIX") or state.variables.get("MAMBA_ROOT_PREFIX") or "/opt/conda"
    return root if name == "base" else os.path.join(root, "envs", name)
