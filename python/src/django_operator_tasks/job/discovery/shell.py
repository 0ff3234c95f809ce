"""Shell commands, as far as they say which programs start, where, and with which variables. Parses on Python 3.6.

No shell: what a command prints is not known, nor whether a condition holds. What is done on a condition tells of
directories and settings, and changes nothing.
"""

import os
import re
import shlex
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from ..start import SETTINGS_VARIABLE
from .files import read_text, which

OPENING = {"if", "while", "until", "for", "case", "select"}
CLOSING = {"fi", "done", "esac"}
KEYWORDS = OPENING | CLOSING | {"then", "else", "elif", "do", "{", "}", "!", "time"}
TESTS = {"[", "[[", "test"}
SEPARATORS = "();<>|&\n"
ASSIGNMENT = re.compile(r"^([A-Za-z_]\w*)=(.*)$", re.DOTALL)
REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*|\d+)(?::?[-=]([^}]*))?\}|([A-Za-z_]\w*|\d))")
ALL_ARGUMENTS = ("$@", "${@}", "$*", "${*}")
HEREDOC = re.compile(r"(?<!<)<<-?\s*(['\"]?)([A-Za-z_]\w*)\1([^\n]*)\n.*?(?:\n[ \t]*\2[ \t]*(?=\n|$)|\Z)", re.DOTALL)
UNKNOWN = "\0"  # stands for what only a shell could tell; no file that is read has it
LITERAL_DOLLAR = "\1"  # one between single quotes
DEEPEST = 6
Start = Callable[[List[str], "State"], None]


class State:
    """What the commands before have left: the directory, the variables, the arguments."""

    def __init__(
        self, directory: str, variables: Dict[str, str], arguments: Sequence[str] = (), exported: Iterable[str] = ()
    ) -> None:
        self.directory = directory
        self.variables = variables
        self.arguments = list(arguments)  # from $0 on
        self.exported: Set[str] = set(exported)  # what programs get, beyond what there was
        self.environment: Iterable[str] = frozenset(variables)  # the names of what there was
        self.exports_all = False
        self.pushed: List[str] = []
        # What is done on a condition that nobody knows.
        self.perhaps_directories: List[str] = []
        self.perhaps_settings: List[str] = []

    def copy(self) -> "State":
        copy = State(self.directory, dict(self.variables), self.arguments, self.exported)
        copy.perhaps_directories, copy.perhaps_settings = self.perhaps_directories, self.perhaps_settings
        copy.environment, copy.exports_all, copy.pushed = self.environment, self.exports_all, list(self.pushed)
        return copy

    def restore(self, saved: "State") -> None:
        """As it was before a shell of its own."""
        self.directory, self.arguments = saved.directory, list(saved.arguments)
        self.variables, self.exported = dict(saved.variables), set(saved.exported)

    def expand(self, word: str) -> str:
        """The word with what is known of variables in their places."""

        def value(match: "re.Match[str]") -> str:
            name, default, short = match.groups()
            name = name or short
            if name.isdigit():
                found = self.arguments[int(name)] if int(name) < len(self.arguments) else None
            else:
                found = self.variables.get(name)
            if not found and default is not None:
                return self.expand(default)
            return found or ""

        expanded = REFERENCE.sub(value, word)
        if re.search(r"\$[{@*]", REFERENCE.sub("", word)):
            expanded = expanded.replace("$", UNKNOWN)
        return expanded.replace(LITERAL_DOLLAR, "$")

    def words(self, words: List[str]) -> List[str]:
        found: List[str] = []
        for word in words:
            if word in ALL_ARGUMENTS:
                found += self.arguments[1:]
            elif REFERENCE.fullmatch(word):  # several words, where it stands alone
                found += self.expand(word).split(" ")
            else:
                found.append(self.expand(word))
        return found

    def assign(self, name: str, value: str, *, exported: bool, perhaps: bool) -> None:
        """Gives a variable a value, as it stands."""
        if perhaps:
            if name == SETTINGS_VARIABLE and is_known(value) and not self.variables.get(name):
                self.perhaps_settings.append(value)
            return
        self.variables[name] = value
        if (exported or self.exports_all or name in self.environment) and is_known(value):
            self.exported.add(name)
        elif not is_known(value):
            self.exported.discard(name)

    def change_directory(self, target: str, *, perhaps: bool) -> None:
        if not is_known(target):
            return
        directory = os.path.normpath(os.path.join(self.directory, target))
        if perhaps:
            self.perhaps_directories.append(directory)
        else:
            self.directory = directory


def is_known(word: str) -> bool:
    """Whether a word has no part that only a shell could tell."""
    return UNKNOWN not in word


def readable(text: str) -> str:
    """The script without comments and texts for standard input, and with a mark for what commands print."""
    text = HEREDOC.sub(lambda match: match.group(3), text.replace("\\\n", " "))
    found: List[str] = []
    quote = ""
    n = 0
    while n < len(text):
        char = text[n]
        if char == "\\" and quote != "'":
            found.append(text[n : n + 2])
            n += 2
        elif quote == "'" or (char == "'" and not quote):
            quote = "" if quote else "'" if char == "'" else quote
            found.append(char)
            n += 1
            if quote == "'":
                end = text.find("'", n)
                end = len(text) if end < 0 else end
                found.append(text[n : end + 1].replace("$", LITERAL_DOLLAR))
                n, quote = end + 1, ""
        elif char == '"':
            quote = "" if quote else '"'
            found.append(char)
            n += 1
        elif text.startswith("$(", n):
            n = end_of_substitution(text, n + 2)
            found.append(UNKNOWN)
        elif char == "`":
            end = text.find("`", n + 1)
            n = len(text) if end < 0 else end + 1
            found.append(UNKNOWN)
        elif char == "#" and not quote and (n == 0 or text[n - 1] in " \t\n;&|("):
            end = text.find("\n", n)
            n = len(text) if end < 0 else end
        else:
            found.append(char)
            n += 1
    return "".join(found)


def end_of_substitution(text: str, n: int) -> int:
    """Behind the parenthesis that closes `$(`."""
    depth = 1
    while n < len(text) and depth:
        if text[n] == "\\":
            n += 1
        elif text[n] == "'":
            end = text.find("'", n + 1)
            n = len(text) if end < 0 else end
        elif text[n] in "()":
            depth += 1 if text[n] == "(" else -1
        n += 1
    return n


def statements(text: str) -> Iterator[Tuple[str, List[str]]]:
    """The simple commands of a script, each with what separates it from the one before; without redirections and the
    patterns of `case`."""
    lexer = shlex.shlex(readable(text), posix=True, punctuation_chars=SEPARATORS)
    lexer.whitespace_split = True
    lexer.whitespace = " \t\r"
    lexer.commenters = ""
    words: List[str] = []
    before = ""
    redirected = pattern = False
    cases = 0
    try:
        for token in lexer:
            if token and set(token) <= set(SEPARATORS):
                if set(token) & set("<>"):
                    redirected = True
                    if words and words[-1].isdigit():
                        words.pop()
                    continue
                if "case" in words and set(words[: words.index("case")]) <= KEYWORDS:
                    cases, pattern = cases + 1, True
                    words = ["case"]
                if pattern and token.startswith(")"):
                    yield before, words if words == ["case"] else []
                    pattern = False
                elif token.startswith("()"):
                    yield before, [*words[-1:], "()"]
                elif not pattern or words == ["case"]:
                    if words[:1] == ["esac"]:
                        cases -= 1
                    yield before, words
                elif words[:1] == ["esac"]:
                    cases, pattern = cases - 1, False
                    yield before, words
                if token.startswith(";;") and cases:
                    pattern = True
                before, words, redirected = token, [], False
            elif redirected:
                redirected = False
            else:
                words.append(token)
    except ValueError:  # a quotation without an end: what came before counts
        pass
    yield before, words


def run(text: str, state: State, start: Start, depth: int = 0) -> None:
    """Goes through a script, and tells of each program that it starts."""
    blocks = 0  # of conditions, loops and functions
    in_chain = False  # of commands behind a test
    braces: List[bool] = []
    function = False
    subshells: List[State] = []
    chain = state.copy()  # as it was before the commands that are joined by && and ||
    for before, statement in statements(text):
        words = list(statement)
        if before.strip("\n") == "&":
            state.restore(chain)
        for char in before if "()" not in before else "":
            if char == "(":
                subshells.append(state.copy())
            elif char == ")" and subshells:
                state.restore(subshells.pop())
        if before not in ("&&", "||", "|"):
            chain = state.copy()
        if words[-1:] == ["()"] or words[:1] == ["function"]:
            function = True
            if "{" not in words:
                continue
        if before not in ("&&", "||"):
            in_chain = False
        while words and words[0] in KEYWORDS:
            word = words.pop(0)
            if word in OPENING:
                blocks += 1
                if word in ("for", "case", "select"):
                    words = []
            elif word in CLOSING:
                blocks = max(blocks - 1, 0)
            elif word == "{":
                braces.append(function)
                blocks += function
                function = False
            elif word == "}" and braces:
                blocks -= braces.pop()
        if words:
            perhaps = blocks > 0 or in_chain or before == "||"
            command(words, state, start, depth, perhaps=perhaps)
            in_chain = in_chain or words[0] in TESTS


def command(words: List[str], state: State, start: Start, depth: int, *, perhaps: bool) -> None:
    """One simple command.

    :param perhaps: whether it depends on a condition.
    """
    assignments = []
    for word in words:
        match = ASSIGNMENT.match(word)
        if match is None:
            break
        assignments.append(match.groups())
    words = words[len(assignments) :]
    own = state.copy() if words else state  # of this command alone, or of the shell
    for name, value in assignments:
        own.assign(name, own.expand(value), exported=bool(words), perhaps=perhaps and not words)
    words = [word for word in own.words(words) if word]
    if not words:
        return
    first, rest = words[0], words[1:]
    if first in ("export", "declare", "typeset", "readonly", "local"):
        for word in rest:
            match = ASSIGNMENT.match(word)
            if match:
                state.assign(match.group(1), match.group(2), exported=True, perhaps=perhaps)
            elif is_known(state.variables.get(word, UNKNOWN)) and not perhaps:
                state.exported.add(word)
    elif first == "popd" and state.pushed and not perhaps:
        state.directory = state.pushed.pop()
    elif first in ("cd", "pushd"):
        if first == "pushd" and not perhaps:
            state.pushed.append(state.directory)
        targets = [word for word in rest if not word.startswith("-")]
        if targets:
            state.change_directory(targets[0], perhaps=perhaps)
    elif first == "set" and ("-a" in rest or "allexport" in rest) and "+o" not in rest:
        state.exports_all = True
    elif first == "set" and "+a" in rest:
        state.exports_all = False
    elif first == "set" and "--" in rest and not perhaps:
        state.arguments = state.arguments[:1] + rest[rest.index("--") + 1 :]
    elif first in (".", "source") and rest:
        if not perhaps:
            source(rest[0], state, start, depth)
    elif first not in TESTS:
        start(words, own)


def source(name: str, state: State, start: Start, depth: int) -> None:
    """A script that runs in the same shell; one that activates a virtual environment is known by its name."""
    if not is_known(name):
        return
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
