"""Secret values that a command itself comes by, beside those of its environment and settings. Parses on Python 3.6."""

from typing import FrozenSet, Set

SHORTEST_PART = 6  # of a value that only may be a secret

_registered: Set[str] = set()


def register_secret(secret: str) -> None:
    """Keeps a value out of whatever text follows."""
    _registered.add(secret)


def registered_secrets() -> FrozenSet[str]:
    """The values that this command registered."""
    return frozenset(_registered)


def forget_secrets() -> None:
    """What was kept out of the texts of an earlier command."""
    _registered.clear()
