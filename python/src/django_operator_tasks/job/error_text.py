"""Exceptions in words, without what a database says of the content of rows. Parses on Python 3.6."""

import os
import re
import sys
import traceback
from typing import Any, Iterable, Optional, Set

# Where servers put the content of rows, or a statement's, into their words.
LEFT_OUT = "(left out)"
# PostgreSQL's errors about a value, and about a statement's words: what they quote, in the signs of several languages,
# or name at their end.
QUOTING_SQLSTATES = ("22", "42601")
QUOTES = '["\u00ab\u00bb\u201e\u201c\u201d\u2018\u2019]'
QUOTED = re.compile(QUOTES + ".*" + QUOTES, re.DOTALL)
TRAILING_VALUE = re.compile(r":\s+(?!\(left out\)).+", re.DOTALL)
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


def describe(error: BaseException) -> str:
    """Type, message and last frame of an exception; of a CommandError only the message, as it is words."""
    base = sys.modules.get("django.core.management.base")
    said = redact_exception(error)
    if base is not None and isinstance(error, base.CommandError):
        return said
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else "%s.%s" % (kind.__module__, kind.__name__)
    frames = traceback.extract_tb(error.__traceback__)
    where = ""
    if frames:
        last = frames[-1]
        others = ("site-packages", "django_operator_tasks", "/proc/self/fd/")
        own = [frame for frame in frames if not any(other in frame.filename for other in others)]
        last = own[-1] if own else last
        where = " (%s:%s in %s)" % (os.path.basename(last.filename), last.lineno, last.name)
    return "%s: %s%s" % (name, said, where)


def redact_exception(error: BaseException) -> str:
    """An exception's words, without what its database says of a row's content."""
    said = str(error)
    for link in exception_chain(error):
        # A server of PostgreSQL says which part is what, whatever it calls them in its language.
        diag = getattr(link, "diag", None)
        if diag is None:
            continue
        words = str(link).strip()
        if words and getattr(diag, "message_primary", None):
            said = said.replace(words, redact_diagnostics(diag))
        elif getattr(diag, "message_detail", None):
            said = said.replace(diag.message_detail, LEFT_OUT)
    return redact_row_values(said)


def exception_chain(error: BaseException) -> Iterable[Any]:
    """The exception, and those that led to it."""
    link: Optional[BaseException] = error
    seen: Set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def redact_diagnostics(diag: Any) -> str:
    """What went wrong, and what to do about it; not where, which quotes the statement and the row."""
    primary = str(diag.message_primary)
    if str(getattr(diag, "sqlstate", None) or "").startswith(QUOTING_SQLSTATES):
        primary = TRAILING_VALUE.sub(": " + LEFT_OUT, QUOTED.sub(LEFT_OUT, primary))
    detail = LEFT_OUT if getattr(diag, "message_detail", None) else ""
    parts = [("DETAIL", detail), ("HINT", getattr(diag, "message_hint", None))]
    return "\n".join([primary, *("%s:  %s" % part for part in parts if part[1])])


def redact_row_values(text: str) -> str:
    """The same for words whose exception is not at hand."""
    for pattern in DATABASE_ROWS:
        text = pattern.sub(r"\1" + LEFT_OUT, text)
    return text
