"""Looks for the user of a name, and takes nobody else's account for theirs."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.base_user import BaseUserManager
from django.core.management.base import CommandError

from .user_fields import field_location


def find_user(users: Any, names: Iterable[str], username: str) -> Any:
    """The user of the first of these names that there is, or the one that a login by this one finds; None if there is
    none.

    :raises CommandError: if the database takes another user's name for this one, as the collations of MySQL do; if
        several have the name.
    """
    found = look_up(users, names, username)
    if found is not None and found.get_username() not in names and not compares_loosely(users):
        raise name_error(
            users, f"for the database this is the name of another user, {found.get_username()}; write it as it is there"
        )
    return found


def look_up(users: Any, names: Iterable[str], username: str) -> Any:
    """What the database or the manager finds, one look after the other; None if nobody."""
    for name in names:
        rows = list(users.filter(**{users.model.USERNAME_FIELD: name}).order_by("pk"))
        same = [row for row in rows if row.get_username() == name]
        if same and not is_unique(users.model) and has_own_natural_key(users):
            return chosen_by_natural_key(users, name, same)
        if len(same) > 1:
            raise several_users(users)
        if rows:
            return (same or rows)[0]
    return by_natural_key(users, username)


def chosen_by_natural_key(users: Any, name: str, same: list[Any]) -> Any:
    """Which of the users of one name is meant where the name is not all: a tenant may be part of it.

    :raises CommandError: if the manager knows none of them, or does not say which.
    """
    try:
        found = users.get_by_natural_key(name)
    except users.model.DoesNotExist:
        raise name_error(
            users,
            "there is a user of this name whom the manager's get_by_natural_key does not find, so they are left alone;"
            " choose another name",
        ) from None
    except users.model.MultipleObjectsReturned:
        found = None
    if found in same:
        return found
    if len(same) > 1:
        raise several_users(users)
    return same[0]


def is_unique(model: Any) -> bool:
    """Whether the database itself refuses a second user of the same name."""
    constraints = [list(constraint.fields) for constraint in model._meta.total_unique_constraints]
    return bool(model._meta.get_field(model.USERNAME_FIELD).unique) or [model.USERNAME_FIELD] in constraints


def has_own_natural_key(users: Any) -> bool:
    """Whether the project's manager has a way of its own to find who logs in, by their name alone."""
    own = getattr(type(users), "get_by_natural_key", BaseUserManager.get_by_natural_key)
    if own is BaseUserManager.get_by_natural_key:
        return False
    try:
        inspect.signature(own).bind(users, "")
    except TypeError:
        return False
    return True


def compares_loosely(users: Any) -> bool:
    """Whether the project itself takes several spellings for one name: by its manager, or by the field."""
    field = users.model._meta.get_field(users.model.USERNAME_FIELD)
    return (
        has_own_natural_key(users)
        or bool(getattr(field, "db_collation", None))
        or type(field).__name__.startswith("CI")
    )


def several_users(users: Any) -> CommandError:
    return name_error(users, "several users have this name; leave it to one of them, and give others to the rest")


def name_error(users: Any, words: str) -> CommandError:
    return CommandError(f"{field_location(users.model.USERNAME_FIELD, users.model, attribute=False)}: {words}")


def by_natural_key(users: Any, username: str) -> Any:
    """The user by what a login would find; None if there is none."""
    if not isinstance(users, BaseUserManager) and not has_own_natural_key(users):
        return None
    try:
        return users.get_by_natural_key(username)
    except users.model.DoesNotExist:
        return None
    except users.model.MultipleObjectsReturned:
        raise several_users(users) from None
