"""What is left of a secret in a text that was shortened before it got here: its beginning before an ellipsis, its end
after one. Parses on Python 3.6.
"""

import re
from typing import Dict, Iterable, List, Tuple

SHORTEST_REMNANT = 4
# Where a text ends there need not have been a cut; what is left by accident is shorter.
SHORTEST_AT_END = 12
# What stands where something was left out, as reprlib, Celery, Pydantic, unittest and SQLAlchemy write it.
OMISSION = r"(?:\.{2,}|\u2026|\[\.{3}\]|\[\d{1,9} chars\])"
BEFORE_OMISSION = re.compile(r"[\"'\s]{0,3}%s" % OMISSION)
AFTER_OMISSION = re.compile(r"%s[\"'\s]{0,3}$" % OMISSION)
LONGEST_OMISSION = 32

Span = Tuple[int, int]


def mask_remnants(text: str, secrets: Iterable[str], mask: str) -> str:
    """The text without them."""
    known = [secret for secret in secrets if len(secret) > SHORTEST_REMNANT]
    spans = heads(text, known)
    spans += [(len(text) - end, len(text) - begin) for begin, end in tails(text[::-1], known)]
    for begin, end in reversed(merged(spans)):
        text = text[:begin] + mask + text[end:]
    return text


def heads(text: str, secrets: Iterable[str]) -> List[Span]:
    """Where the beginning of a secret stands before an omission, or at the end."""
    return [
        (begin, end)
        for begin, end in common(text, secrets)
        if BEFORE_OMISSION.match(text, end) or (end == len(text) and end - begin >= SHORTEST_AT_END)
    ]


def tails(mirrored: str, secrets: Iterable[str]) -> List[Span]:
    """Where the end of a secret stands after an omission, of a text and in one that are written backwards."""
    return [
        (begin, end)
        for begin, end in common(mirrored, [secret[::-1] for secret in secrets])
        if AFTER_OMISSION.search(mirrored[end : end + LONGEST_OMISSION][::-1])
    ]


def common(text: str, secrets: Iterable[str]) -> List[Span]:
    """Where a text has the beginning of a secret, as far as it goes."""
    by_start: Dict[str, List[str]] = {}
    for secret in secrets:
        by_start.setdefault(secret[:SHORTEST_REMNANT], []).append(secret)
    found = []
    for begin in range(len(text) - SHORTEST_REMNANT + 1):
        for secret in by_start.get(text[begin : begin + SHORTEST_REMNANT], ()):
            found.append((begin, begin + common_length(text, begin, secret)))
    return found


def common_length(text: str, begin: int, secret: str) -> int:
    """How many characters of a secret stand there; at least as many as it was found by."""
    low, high = SHORTEST_REMNANT, min(len(secret), len(text) - begin)
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(secret[:middle], begin):
            low = middle
        else:
            high = middle - 1
    return low


def merged(spans: Iterable[Span]) -> List[Span]:
    """In order, those that overlap as one."""
    found: List[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found
