"""How one text stands in others: as `repr`, JSON, a URL or a page write it. Parses on Python 3.6."""

import json
import re
from contextlib import suppress
from html import escape
from itertools import combinations
from typing import Any, Iterable, Iterator, List, Set
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from .registered_secrets import SHORTEST_PART

SHORTEST_PIECE = 3
# What libraries leave as it is in a URL, by its part.
SAFE_CHARACTERS = ("", "/", "/:", "!$&'()*+,;=", "!$&'()*+,;=:", "!$&'()*+,;=:@/", "!#$%&'()*+,/:;=?@[]~", "~()*!.'")
PEM_BOUNDARY = "-----"
# One URL, also of a list of them; and its user, its password and what follows, whatever characters they have.
URL = re.compile(r"[A-Za-z][\w+.-]{0,20}://(?:(?![;,][A-Za-z][\w+.-]{0,20}://)\S)*")
USER_INFO = re.compile(r"://[^\s/?#:]*:(\S*)@")
# Where what reads a URL takes a password to end that was put there as it is.
URL_DELIMITERS = re.compile("[/?#@:\\[\\]]")
LONGEST_PASSWORD = 1000
MOST_DELIMITERS = 24
# What comes after the host of a URL without a password; and the password of a login without a scheme.
URL_PATH = re.compile(r"[\w+.-]{1,20}://[^/?#]*(.*)", re.DOTALL)
LOGIN = re.compile(r"[\w.-]+:(\S+)@[\w.:/-]+")
# A piece that is a word, a port or a host may stand anywhere.
WORD = re.compile(
    r"(?:[a-z_.-]*|[a-z]+(?:-[a-z]+)*-\d{1,2}|[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)+)(?::\d{1,5})?/?|\d{1,5}/?"
)
FILE_PATH = re.compile(r"[/.~][\w./+-]*")
# A key of a connection string, such as libpq's or ODBC's: its value may stand in quotes, or in braces.
KEY = r"(?i)(?:password|passwd|pwd|pass|secret|token|key|sig|signature|credentials?)\s{0,3}=\s{0,3}"
KEY_VALUES = (
    re.compile(KEY + r"('(?:[^'\\]|(?s:\\.))+(?:'|\\?$)|\"[^\"]+(?:\"|$)|\{(?:[^}]|\}\})+(?:\}|$))"),
    re.compile(KEY + r"([^\s&;,'\"][^\s&;,]*)"),
)


def renderings(text: str) -> Set[str]:
    """The text itself, and in every way in which libraries write it into theirs."""
    found = {text, text.strip(), repr(text)[1:-1], ascii(text)[1:-1], repr(text.encode("utf-8", "replace"))[2:-1]}
    found |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    found |= {escape(text), escape(text, quote=False)}
    found |= {text.replace("'", "\\'"), text.replace('"', '\\"'), text.replace("'", "''"), text.replace("\\", "\\\\")}
    found |= {text.replace("'", "'\"'\"'")}  # as a shell takes it
    encoded = text.encode("utf-8", "replace")
    for safe in SAFE_CHARACTERS:
        for way in (quote, quote_plus):
            percent = way(encoded, safe=safe)
            found |= {percent, lower_percent(percent)}
    found |= {repr(each)[1:-1] for each in list(found) if "\\" in each or "'" in each}
    return {each for each in found if each}


def lower_percent(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda match: match.group().lower(), text)


def parts(secret: str) -> List[str]:
    """A secret, and what of it may stand alone and is long enough to be one."""
    return [secret, *long_parts(secret), *pieces(secret)]


def leaves(secret: str) -> List[str]:
    """What is secret of it: of what is made of parts, those; of a file's path, nothing."""
    inner = long_parts(secret)
    if inner or FILE_PATH.fullmatch(secret):
        return inner
    whole = URL_PATH.fullmatch(secret) or LOGIN.fullmatch(secret)
    return [whole.group(1) if whole else secret]


def long_parts(secret: str) -> List[str]:
    """The parts that it is made of, without those that may stand anywhere."""
    return [part for part in inner_parts(secret) if len(part) >= SHORTEST_PART]


def inner_parts(secret: str) -> Iterator[str]:
    """Lines of a key, values of a JSON object, the password of a URL or of a connection string."""
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if not line.startswith(PEM_BOUNDARY))
    if secret.lstrip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            yield from json_texts(json.loads(secret))
    for url in URL.findall(secret):
        for password in url_passwords(url):
            yield from (password, unquote(password), unquote_plus(password))
    for value in (value for form in KEY_VALUES for value in form.findall(secret)):
        plain = value.strip({"{": "{}"}.get(value[0], value[0])) if value[:1] in ("'", '"', "{") else value
        yield from (value, plain, re.sub(r"\\(.)", r"\1", plain), plain.replace("}}", "}"), unquote(plain))


def url_passwords(url: str) -> Set[str]:
    """The password of a URL, up to the last sign that may end it and up to the first."""
    found = USER_INFO.search(url)
    return {found.group(1), found.group(1).partition("@")[0]} if found else set()


def pieces(secret: str) -> Iterator[str]:
    """What of a password a program may take for the host, the port or the path of a URL that has it as it is."""
    for url in URL.findall(secret):
        for password in url_passwords(url):
            yield from between_delimiters(password, SHORTEST_PIECE)
    is_plain = not (URL.match(secret) or FILE_PATH.fullmatch(secret) or re.search(r"\s", secret))
    if is_plain and re.search("[/?#@]", secret):
        yield from between_delimiters(secret, SHORTEST_PART)


def between_delimiters(password: str, shortest: int) -> Iterator[str]:
    """What stands between any two of them; of a password with many, what stands before and after each."""
    if len(password) > LONGEST_PASSWORD:
        return
    ends = [-1, *(found.start() for found in URL_DELIMITERS.finditer(password)), len(password)]
    spans = list(combinations(ends, 2))
    if len(ends) > MOST_DELIMITERS:
        spans = [(-1, end) for end in ends] + [(start, len(password)) for start in ends]
    for start, end in spans:
        piece = password[start + 1 : end]
        if shortest <= len(piece) < len(password) and not WORD.fullmatch(piece):
            yield piece


def json_texts(value: Any) -> Iterator[str]:
    """The texts in a JSON value, but for keys."""
    inside: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, str):
        yield from [value, *inner_parts(value)] if "\n" in value or "://" in value else [value]
    for each in inside:
        yield from json_texts(each)
