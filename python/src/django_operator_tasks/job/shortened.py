"""What is left of a secret in a text that was shortened before it got here: its beginning before an ellipsis, its end
after one. Parses on Python 3.6.
"""

import re
from typing import Iterable

ELLIPSIS = re.compile("(?:\\.{3,}|\u2026)+")
# What libraries leave on either side is less than this.
LONGEST_REMNANT = 200
SHORTEST_REMNANT = 4


def mask_remnants(text: str, secrets: Iterable[str], mask: str) -> str:
    """The text without them."""
    ellipses = list(ELLIPSIS.finditer(text))
    if not ellipses:
        return text
    forwards = [secret for secret in secrets if len(secret) > SHORTEST_REMNANT]
    backwards = [secret[::-1] for secret in forwards]
    for ellipsis in reversed(ellipses):
        begin, end = ellipsis.span()
        after = text[end : end + LONGEST_REMNANT]
        tail = max((remnant(after[::-1], secret) for secret in backwards), default=0)
        if tail:
            text = text[:end] + mask + text[end + tail :]
        before = text[max(0, begin - LONGEST_REMNANT) : begin]
        head = max((remnant(before, secret) for secret in forwards), default=0)
        if head:
            text = text[: begin - head] + mask + text[begin:]
    return text


def remnant(window: str, secret: str) -> int:
    """How many characters at the end of a text are the first ones of a secret."""
    first = secret[:SHORTEST_REMNANT]
    at = window.find(first)
    while at >= 0:
        if secret.startswith(window[at:]):
            return len(window) - at
        at = window.find(first, at + 1)
    return 0
