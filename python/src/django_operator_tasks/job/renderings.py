"""How one text stands in others: as `repr`, JSON, a URL or a page write it. Parses on Python 3.6."""

import json
import re
from contextlib import suppress
from html import escape
from typing import Any, Iterable, Iterator, Set
from urllib.parse import quote, quote_plus, unquote, unquote_plus

SHORTEST_PART = 6
SHORTEST_PIECE = 3
# What libraries leave as it is in a URL, by its part.
SAFE_CHARACTERS = ("", "/", "/:", "!$&'()*+,;=", "!$&'()*+,;=:", "!$&'()*+,;=:@/", "!#$%&'()*+,/:;=?@[]~", "~()*!.'")
PEM_BOUNDARY = "-----"
USER_INFO = re.compile(r"://(\S*)@")
# Where what reads a URL takes a password to end that was put there as it is.
URL_DELIMITERS = re.compile("[/?#@:\\[\\]]")
MOST_PIECES = 12
# A key of a connection string, such as libpq's: its value may stand in quotes.
KEY_VALUE = re.compile(
    r"(?i)(?:password|passwd|pwd|pass|secret|token|key|sig|signature|credentials?)\s{0,3}=\s{0,3}"
    r"('(?:[^'\\]|(?s:\\.))+(?:'|\\?$)|\"[^\"]+(?:\"|$)|[^\s&;,]+)"
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


def parts(secret: str) -> Iterator[str]:
    """A secret, and what of it may stand alone and is long enough to be one."""
    yield secret
    yield from (part for part in inner_parts(secret) if len(part) >= SHORTEST_PART)
    for user_info in USER_INFO.findall(secret):
        yield from url_pieces(user_info.partition(":")[2], SHORTEST_PIECE)
    if "://" not in secret and secret[:1] not in "/.{[" and PEM_BOUNDARY not in secret:
        yield from url_pieces(secret, SHORTEST_PART)


def url_pieces(password: str, shortest: int) -> Iterator[str]:
    """What a program may take for the host, the port or the path of a URL that has the password as it is."""
    ends = [-1, *(found.start() for found in URL_DELIMITERS.finditer(password)), len(password)]
    if len(ends) > MOST_PIECES:
        ends = [*ends[: MOST_PIECES // 2], *ends[-MOST_PIECES // 2 :]]
    for number, start in enumerate(ends):
        for end in ends[number + 1 :]:
            if end - start > shortest and end - start <= len(password):
                yield password[start + 1 : end]


def inner_parts(secret: str) -> Iterator[str]:
    """Lines of a key, values of a JSON object, the password of a URL or of a connection string."""
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if not line.startswith(PEM_BOUNDARY))
    if secret.lstrip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            yield from json_texts(json.loads(secret))
    for user_info in USER_INFO.findall(secret):
        password = user_info.partition(":")[2]
        yield from (password, unquote(password), unquote_plus(password))
    for value in KEY_VALUE.findall(secret):
        plain = value.strip(value[0]) if value[:1] in "'\"" else value
        yield from (plain, re.sub(r"\\(.)", r"\1", plain), unquote(plain))


def json_texts(value: Any) -> Iterator[str]:
    """The texts in a JSON value, but for keys."""
    inside: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, str):
        yield from parts(value) if "\n" in value or "://" in value else [value]
    for each in inside:
        yield from json_texts(each)
