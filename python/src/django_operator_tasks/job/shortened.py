"""What is left of a secret in a text that was shortened before it got here: its beginning before an ellipsis, its end
after one, what stands between two; and what is too long to be there by accident. Parses on Python 3.6.
"""

import re
from bisect import bisect_left
from typing import Iterable, List, Set, Tuple

SHORTEST_REMNANT = 4
# Where nothing says that something was left out, what is left by accident is shorter.
SHORTEST_AT_END, SHORTEST_ANYWHERE, SHORTEST_BETWEEN = 12, 20, 6
# What stands where something was left out, as reprlib, Celery, Pydantic, unittest, PyYAML and SQLAlchemy write it.
OMISSION = r"(?:\.{2,}|\u2026|\[\.{3}\]|\[\d{1,9} chars\])"
BEFORE_OMISSION = re.compile(r"[\"'\s]{0,3}%s" % OMISSION)
AFTER_OMISSION = re.compile(r"%s[\"'\s]{0,3}$" % OMISSION)
BETWEEN_OMISSIONS = re.compile(r"(?<=\.\.)[ \"']?([^\n]{%d,300}?)[ \"']?(?=\.{3})" % SHORTEST_BETWEEN)
LONGEST_OMISSION = 32

Span = Tuple[int, int]


class Remnants:
    """The secrets of which something may be left, in an order in which those that begin alike are neighbours."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = [secret for secret in secrets if len(secret) > SHORTEST_REMNANT]
        self.forwards = Beginnings(known)
        self.backwards = Beginnings(secret[::-1] for secret in known)
        self.all = "\0".join(known)


class Beginnings:
    """How some secrets begin."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = sorted(secrets)
        self.first: Set[str] = {secret[:SHORTEST_REMNANT] for secret in self.secrets}
        self.longest = max(map(len, self.secrets), default=0)

    def found_in(self, text: str) -> List[Span]:
        """Where a text has the beginning of a secret, as far as it goes."""
        found = []
        for begin in range(len(text) - SHORTEST_REMNANT + 1):
            if text[begin : begin + SHORTEST_REMNANT] in self.first:
                rest = text[begin : begin + self.longest]
                at = bisect_left(self.secrets, rest)
                alike = self.secrets[max(0, at - 1) : at + 1]  # what has most in common with it stands beside it
                found.append((begin, begin + max(common_length(rest, secret) for secret in alike)))
        return found


def common_length(text: str, secret: str) -> int:
    """How many characters of a secret a text begins with."""
    low, high = 0, min(len(secret), len(text))
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(secret[:middle]):
            low = middle
        else:
            high = middle - 1
    return low


def mask_remnants(text: str, remnants: Remnants, mask: str) -> str:
    """The text without them."""
    mirrored = text[::-1]
    spans = [span for span in remnants.forwards.found_in(text) if is_head(text, span)]
    tails = [span for span in remnants.backwards.found_in(mirrored) if is_tail(mirrored, span)]
    spans += [(len(text) - end, len(text) - begin) for begin, end in tails]
    spans += [found.span(1) for found in BETWEEN_OMISSIONS.finditer(text) if found.group(1) in remnants.all]
    for begin, end in reversed(merged(spans)):
        text = text[:begin] + mask + text[end:]
    return text


def is_head(text: str, span: Span) -> bool:
    """Whether the beginning of a secret stands before an omission or at the end, or is long."""
    begin, end = span
    if end - begin >= SHORTEST_ANYWHERE:
        return True
    return bool(BEFORE_OMISSION.match(text, end)) or (end == len(text) and end - begin >= SHORTEST_AT_END)


def is_tail(mirrored: str, span: Span) -> bool:
    """Whether the end of a secret stands after an omission, or is long; in a text that is written backwards."""
    begin, end = span
    if end - begin >= SHORTEST_ANYWHERE:
        return True
    return AFTER_OMISSION.search(mirrored[end : end + LONGEST_OMISSION][::-1]) is not None


def merged(spans: Iterable[Span]) -> List[Span]:
    """In order, those that overlap as one."""
    found: List[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found
