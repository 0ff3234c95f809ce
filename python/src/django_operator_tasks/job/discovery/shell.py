"""Shell commands, as far as they say which programs start, where, and with which variables. Parses on Python 3.6.

No shell: conditions count as both true and false, and what a command prints is not known.
"""

import os
import re
import shlex
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from .files import read_text, which

KEYWORDS = {"if", "then", "else", "elif", "do", "while", "until", "{", "}", "!", "time", "fi", "done", "esac"}
SEPARATORS = "();<>|&\n"
ASSIGNMENT = re.compile(r"^([A-Za-z_]\w*)=(.*)$", re.DOTALL)
REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*|\d+)(?::?[-=]([^}]*))?\}|([A-Za-z_]\w*|\d))")
ALL_ARGUMENTS = ("$@", "${@}", "$*", "${*}")
UNKNOWN = re.compile(r"\$\(|`|\$[\w{@*]")
DEEPEST = 6


class State:
    """What the commands before have left: the directory, the variables, the arguments."""

    def __init__(
        self, directory: str, variables: Dict[str, str], arguments: Sequence[str] = (), exported: Iterable[str] = ()
    ) -> None:
        self.directory = directory
        self.variables = variables
        self.arguments = list(arguments)  # from $0 on
        self.exported = set(exported)  # what programs get, beyond what there was

    def copy(self) -> "State":
        return State(self.directory, dict(self.variables), self.arguments, self.exported)

    def expand(self, word: str) -> str:
        """The word with what is known of variables in their places; what is not known stays."""

        def value(match: "re.Match[str]") -> str:
            name, default, short = match.groups()
            name = name or short
            if name.isdigit():
                found = self.arguments[int(name)] if int(name) < len(self.arguments) else None
            else:
                found = self.variables.get(name)
            if not found and default is not None:
                return self.expand(default)
            return match.group(0) if found is None and name.isdigit() else found or ""

        return REFERENCE.sub(value, word)

    def words(self, words: List[str]) -> List[str]:
        found: List[str] = []
        for word in words:
            found += self.arguments[1:] if word in ALL_ARGUMENTS else [self.expand(word)]
        return found

    def assign(self, name: str, value: str, *, exported: bool) -> None:
        value = self.expand(value)
        if is_known(value):
            self.variables[name] = value
            if exported:
                self.exported.add(name)


def is_known(word: str) -> bool:
    """Whether a word has no part that only a shell could tell."""
    return not UNKNOWN.search(word)


def statements(text: str) -> Iterator[List[str]]:
    """The simple commands of a script, without its redirections, and without the patterns of `case`."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=SEPARATORS)
    lexer.whitespace_split = True
    lexer.whitespace = " \t\r"
    lexer.commenters = ""
    words: List[str] = []
    comment = redirected = False
    try:
        for token in lexer:
            if set(token) <= set(SEPARATORS) and token:
                if "\n" in token:
                    comment = False
                if comment:
                    continue
                if set(token) & set("<>"):
                    redirected = True
                    if words and words[-1].isdigit():
                        words.pop()
                    continue
                if not token.startswith((")", "()")):  # a pattern, or the name of a function
                    yield words
                words, redirected = [], False
            elif comment or (token.startswith("#") and not words):
                comment = True
            elif redirected:
                redirected = False
            else:
                words.append(token)
    except ValueError:  # a quotation without an end: what came before counts
        pass
    yield words


def run(text: str, state: State, start: Callable[[List[str], State], None], depth: int = 0) -> None:
    """Goes through a script, and tells of each program that it starts."""
    for statement in statements(text):
        words = [word for n, word in enumerate(statement) if word not in KEYWORDS or n > 0]
        while words and words[0] in KEYWORDS:
            words = words[1:]
        if words:
            command(words, state, start, depth)


def command(words: List[str], state: State, start: Callable[[List[str], State], None], depth: int) -> None:
    """One simple command."""
    assignments = []
    for word in words:
        match = ASSIGNMENT.match(word)
        if match is None:
            break
        assignments.append(match.groups())
    words = words[len(assignments) :]
    own = state.copy() if words else state  # of this command alone, or of the shell
    for name, value in assignments:
        own.assign(name, value, exported=bool(words))
    words = [word for word in own.words(words) if word]
    if not words:
        return
    first, rest = words[0], words[1:]
    if first in ("export", "declare", "typeset", "readonly", "local"):
        for word in rest:
            match = ASSIGNMENT.match(word)
            if match:
                state.assign(match.group(1), match.group(2), exported=True)
            elif word in state.variables:
                state.exported.add(word)
    elif first in ("cd", "pushd"):
        targets = [word for word in rest if not word.startswith("-")]
        if targets and is_known(targets[0]):
            state.directory = os.path.normpath(os.path.join(state.directory, targets[0]))
    elif first == "set" and "--" in rest:
        state.arguments = state.arguments[:1] + rest[rest.index("--") + 1 :]
    elif first in (".", "source") and rest:
        source(rest[0], state, start, depth)
    else:
        start(words, own)


def source(name: str, state: State, start: Callable[[List[str], State], None], depth: int) -> None:
    """A script that runs in the same shell; one that activates a virtual environment is known by its name."""
    path = which(name, state.variables.get("PATH"), state.directory)
    environment = os.path.dirname(os.path.dirname(os.path.join(state.directory, name)))
    if os.path.basename(name) == "activate":
        state.variables["VIRTUAL_ENV"] = environment
        state.variables["PATH"] = os.path.join(environment, "bin") + os.pathsep + state.variables.get("PATH", "")
        state.exported |= {"VIRTUAL_ENV", "PATH"}
    elif path is not None and depth < DEEPEST:
        run(read_text(path) or "", state, start, depth + 1)


def after_options(words: List[str], valued: str) -> Tuple[List[str], List[str]]:
    """The options in front, and the rest. `valued` names those with a value in the next word."""
    names = valued.split()
    n = 0
    while n < len(words) and words[n].startswith("-") and words[n] != "-":
        if words[n] == "--":
            return words[:n], words[n + 1 :]
        n += 2 if words[n] in names else 1
    return words[:n], words[n:]


def script_of(words: List[str]) -> Tuple[Optional[str], List[str]]:
    """What a shell is given to run by `-c`, or None; and the words after."""
    options, n = "", 0
    while n < len(words) and words[n][:1] in ("-", "+") and len(words[n]) > 1:
        if words[n] == "--":
            n += 1
            break
        flags = words[n][1:] if not words[n].startswith("--") else ""
        options += flags
        n += 2 if flags.endswith("o") and "c" not in flags else 1
    if "c" in options and n < len(words):
        return words[n], words[n + 1 :]
    return None, words[n:]
