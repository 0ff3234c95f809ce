"""What a command tells the operator: one JSON line in the container's termination log.

Structured fields stand as they are; free text never leaves without its secrets taken out. Parses on
Python 3.6, as it has to say what is missing there.
"""

import json
import os
import re
import sys
import traceback
from typing import Any, Dict, Iterable, List, NoReturn, Optional, Set, Tuple

PATH = "/dev/termination-log"
PATH_VARIABLE = "DJK8S_TERMINATION_LOG"
LIMIT = 1500
SHORTEST_MESSAGE = 100
NAMES_AT_EACH_END = 5
RUN_VARIABLE = "DJANGO_OPERATOR_RUN"
SHORTEST_UNNAMED_SECRET = 6
PASSWORD_VARIABLE = "DJANGO_ADMIN_PASSWORD"  # noqa: S105 - its name
# Variables that images and Kubernetes set themselves and that are no secrets, for pods that take whole
# Secrets into their environment.
PLAIN = re.compile(
    r"^(PATH|HOME|HOSTNAME|PWD|LANG|LC_.*|TZ|TERM|SHLVL|GPG_KEY|PYTHON.*|DJANGO_SETTINGS_MODULE|VIRTUAL_ENV"
    r"|KUBERNETES_.*|.*_SERVICE_(HOST|PORT.*)|.*_PORT(_\d+_(TCP|UDP)(_.*)?)?)$"
)
CREDENTIALS_IN_URL = re.compile(r"(?<=://)\S+@|(?<=[?&]password=)[^&\s]+", re.IGNORECASE)
PASSWORD_OPTIONS = ("PASSWORD", "password", "passwd")
# Variables whose names say that they are secret, as Django's debug page knows them too.
SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|SIGNATURE|CREDENTIAL|API_?KEY|(^|_)(PASS|PW|KEYS?|DSN)(_|$)", re.IGNORECASE
)
# Where servers put the content of rows, or a statement's, into their words.
LEFT_OUT = "(left out)"
# PostgreSQL's errors about a value, and about a statement's words: what they quote, in the signs of several languages,
# or name at their end.
QUOTING = ("22", "42601")
QUOTES = '["\u00ab\u00bb\u201e\u201c\u201d\u2018\u2019]'
QUOTED = re.compile(QUOTES + ".*" + QUOTES, re.DOTALL)
AT_THE_END = re.compile(r":\s+(?!\(left out\)).+", re.DOTALL)
DATABASE_ROWS = (
    re.compile(
        r"^(\s*DETAIL: )(?! *\(left out\)).*?(?=\n\s*(?:HINT|CONTEXT|QUERY|WHERE|LINE \d+):|\s*\Z)",
        re.MULTILINE | re.DOTALL,
    ),
    re.compile(r"(Duplicate entry )'.*'(?= for key)", re.DOTALL),
    re.compile(r"([Ii]ncorrect [\w ]+ value: )'.*'(?= for (?:column|function))", re.DOTALL),
    re.compile(r"([Ii]ncorrect [\w ]+ value: )\\?['\"].*['\"]", re.DOTALL),
    re.compile(r"(right syntax to use near )'.*'(?= at line)", re.DOTALL),
    re.compile(r"(value is out of range in )'.*'", re.DOTALL),
    re.compile(r"(no partition for value )(?!\(left out\)).*", re.DOTALL),
    re.compile(r"((?:at or near|in tsquery:) )\".*?\"(?=\s*$)", re.MULTILINE | re.DOTALL),
    re.compile(r"(invalid input (?:syntax|value) for [^:\n]+: )\".*?\"(?=\s*$)", re.MULTILINE | re.DOTALL),
    re.compile(r"((?:out of range|malformed \w+ literal): )\".*?\"(?=\s*$)", re.MULTILINE | re.DOTALL),
    re.compile(r"(\bvalue )\".*\"(?= is out of range)", re.DOTALL),
    re.compile(r"^(\s*CONTEXT: )(?! *\(left out\)).*?(?=\n\s*LINE \d+:|\s*\Z)", re.MULTILINE | re.DOTALL),
    re.compile(r"^(\s*LINE \d+: )(?! *\(left out\)).*(?:\n *\^)?", re.MULTILINE),
)


def run_facts() -> Dict[str, Any]:
    """What the operator knows of this pod; empty outside of a Job."""
    try:
        facts = json.loads(os.environ.get(RUN_VARIABLE) or "{}")
    except ValueError:
        facts = {}
    return facts if isinstance(facts, dict) else {}


def log_path() -> str:
    """The container's terminationMessagePath, which only the operator leaves at its default for sure."""
    return PATH if run_facts() else os.environ.get(PATH_VARIABLE) or PATH


class Report:
    """The result of one command, filled in while it runs."""

    def __init__(self) -> None:
        self.action = ""
        self.count: Optional[int] = None
        self.names: List[str] = []
        self.databases: List[Dict[str, str]] = []
        self.failure: Optional[Tuple[str, str]] = None
        self.hidden: Set[str] = set()
        self.unfinished = False

    def succeeded_with(self, action: str, names: Iterable[object] = (), count: Optional[int] = None) -> None:
        """Says what was done to what."""
        listed = [str(name) for name in names]
        self.action = action
        self.count = len(listed) if count is None else count
        if len(listed) > 2 * NAMES_AT_EACH_END:
            listed = listed[:NAMES_AT_EACH_END] + listed[-NAMES_AT_EACH_END:]
        self.names = listed

    def hide(self, secret: str) -> None:
        """Keeps a value out of whatever text follows."""
        self.hidden.add(secret)

    def add_database(self, connection: Any) -> None:
        """Says which database was used."""
        settings = connection.settings_dict
        self.databases.append(
            {
                "alias": connection.alias,
                "engine": settings.get("ENGINE", "").rsplit(".", 1)[-1],
                "host": without_credentials(settings.get("HOST")),
                "name": without_credentials(settings.get("NAME")),
            }
        )

    def failed(self, error: BaseException, reason: Optional[str] = None) -> None:
        """Says what went wrong; the first word counts, as others only follow from it."""
        if self.failure is None:
            self.failure = (reason or getattr(error, "reason", None) or "CommandFailed", describe(error))

    def exited(self, code: object) -> None:
        """Says with what exit code the command ended, where it said nothing itself."""
        if self.failure is None:
            words = "the command ended with exit code %s" % code if isinstance(code, int) else str(code)
            self.failure = ("CommandFailed", words)

    def line(self) -> bytes:
        """The JSON line, within the limit."""
        data: Dict[str, Any] = {}
        if self.failure is not None:
            reason, message = self.failure
            data = {"ok": False, "reason": reason, "message": scrubbed(message)}
        else:
            data = {"ok": True, "action": self.action, "count": self.count, "names": self.names}
        data["settings"] = os.environ.get("DJANGO_SETTINGS_MODULE", "")
        data["databases"] = self.databases
        # What is too long is halved, and then whole fields give way, as a line that was cut is no line.
        while len(_dump(data)) > LIMIT and len(data.get("message", "")) > SHORTEST_MESSAGE:
            data["message"] = data["message"][: len(data["message"]) // 2] + "…"
        for field, empty in (("names", []), ("databases", []), ("settings", ""), ("message", "")):
            if field in data and len(_dump(data)) > LIMIT:
                data[field] = empty
        return _dump(data)

    def write(self, path: Optional[str] = None) -> None:
        """Writes the line where the kubelet reads it, if this is a container that has such a place."""
        path = path or log_path()
        if self.unfinished or not os.path.exists(path):
            return
        try:
            with open(path, "wb") as log:
                log.write(self.line() + b"\n")
        except OSError as error:
            print("cannot write %s: %s" % (path, error), file=sys.stderr)


current = Report()


def reset() -> None:
    """Forgets what an earlier command of this process said."""
    global current
    current = Report()


def fail_early(reason: str, message: str) -> NoReturn:
    """Ends the process before there is anything that could fail by itself."""
    current.failure = (reason, message)
    current.write()
    print(message, file=sys.stderr)
    sys.exit(1)


def without_credentials(value: object) -> str:
    """A host or a name of a database; of a URL what is no credential."""
    text = str(value or "")
    return CREDENTIALS_IN_URL.sub(mask, text).split("?")[0] if "://" in text else text


def describe(error: BaseException) -> str:
    """Type, message and last frame of an exception; of a CommandError only the message, as it is words."""
    base = sys.modules.get("django.core.management.base")
    said = without_rows(error)
    if base is not None and isinstance(error, base.CommandError):
        return said
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else "%s.%s" % (kind.__module__, kind.__name__)
    frames = traceback.extract_tb(error.__traceback__)
    where = ""
    if frames:
        last = frames[-1]
        own = [frame for frame in frames if "site-packages" not in frame.filename and ".pyz" not in frame.filename]
        last = own[-1] if own else last
        where = " (%s:%s in %s)" % (os.path.basename(last.filename), last.lineno, last.name)
    return "%s: %s%s" % (name, said, where)


def without_rows(error: BaseException) -> str:
    """An exception's words, without what its database says of a row's content."""
    said = str(error)
    for link in origins(error):
        # A server of PostgreSQL says which part is what, whatever it calls them in its language.
        diag = getattr(link, "diag", None)
        if diag is None:
            continue
        words = str(link).strip()
        if words and getattr(diag, "message_primary", None):
            said = said.replace(words, without_values(diag))
        elif getattr(diag, "message_detail", None):
            said = said.replace(diag.message_detail, LEFT_OUT)
    return without_row_values(said)


def origins(error: BaseException) -> Iterable[Any]:
    """The exception, and those that led to it."""
    link: Optional[BaseException] = error
    seen: Set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def without_values(diag: Any) -> str:
    """What went wrong, and what to do about it; not where, which quotes the statement and the row."""
    primary = str(diag.message_primary)
    if str(getattr(diag, "sqlstate", None) or "").startswith(QUOTING):
        primary = AT_THE_END.sub(": " + LEFT_OUT, QUOTED.sub(LEFT_OUT, primary))
    detail = LEFT_OUT if getattr(diag, "message_detail", None) else ""
    parts = [("DETAIL", detail), ("HINT", getattr(diag, "message_hint", None))]
    return "\n".join([primary, *("%s:  %s" % part for part in parts if part[1])])


def without_row_values(text: str) -> str:
    """The same for words whose exception is not at hand."""
    for pattern in DATABASE_ROWS:
        text = pattern.sub(r"\1" + LEFT_OUT, text)
    return text


def scrubbed(text: str) -> str:
    """The text without secrets; if they cannot be told, no text."""
    try:
        return scrub(text)
    except Exception as error:
        return "(left out, as its secrets could not be taken out: %s)" % type(error).__name__


def scrub(text: object) -> str:
    """The text without secrets."""
    clean = without_row_values(str(text))
    for secret in sorted(secrets(), key=len, reverse=True):
        clean = clean.replace(secret, "***")
    return CREDENTIALS_IN_URL.sub(mask, clean)


def mask(found: Any) -> str:
    return "***@" if found.group().endswith("@") else "***"


def secrets() -> Set[str]:
    """Every value that must not be seen."""
    facts = run_facts()
    found = {os.environ.get(name, "") for name in facts.get("secretEnv", [])} | current.hidden
    found.add(os.environ.get(PASSWORD_VARIABLE, ""))
    found |= {value for name, value in possible_secrets() if SECRET_NAME.search(name)}
    if facts.get("wholeSecrets"):
        known = set(facts.get("plainEnv", [])) | {RUN_VARIABLE}
        found |= {value for name, value in possible_secrets() if name not in known}
    settings = _settings()
    if settings is not None:
        try:
            keys = [settings.SECRET_KEY]  # Django refuses to hand out an empty one
        except Exception:
            keys = []
        for key in keys + list(getattr(settings, "SECRET_KEY_FALLBACKS", None) or []):
            found.add(key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key or ""))
        for database in (getattr(settings, "DATABASES", None) or {}).values():
            for options in (database, database.get("OPTIONS") or {}):
                found |= {str(options.get(name) or "") for name in PASSWORD_OPTIONS}
    return {value for value in found if value}


def possible_secrets() -> Iterable[Tuple[str, str]]:
    """Variables that may hold a secret, though nobody named them as such."""
    for name, value in os.environ.items():
        if name != RUN_VARIABLE and not PLAIN.match(name) and len(value) >= SHORTEST_UNNAMED_SECRET:
            yield name, value


def _settings() -> Any:
    """The project's settings, if they were loaded; asking must not load them."""
    module = sys.modules.get("django.conf")
    settings = getattr(module, "settings", None)
    return settings if settings is not None and settings.configured else None


def _dump(data: Dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
