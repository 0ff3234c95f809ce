"""A user that cannot be stored, as another one has the same value in a field that has to be unique."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import Any, NoReturn

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import IntegrityError
from django.db.models import F, UniqueConstraint
from django.db.models.signals import post_save, pre_save


class UniqueViolation(Exception):
    """The database refused a user, or was about to write over another one."""

    def __init__(self, user: Any, database: str, error: IntegrityError | None = None) -> None:
        super().__init__(str(error or ""))
        self.user = user
        self.database = database
        self.error = error

    def fail(self, locations: Any) -> NoReturn:
        """Names the fields; says it in the database's words where they are not known.

        :param locations: gives the place where a field's value was asked for.
        """
        taken = taken_fields(self.user, self.database) if self.user is not None else []
        if taken or self.error is None:
            places = ", ".join(map(locations, taken or [type(self.user).USERNAME_FIELD]))
            raise CommandError(f"{places}: another user has this value already") from self.error
        raise self.error


class Saving:
    """What becomes of users of a model while a block runs, in this thread."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.thread = get_ident()
        self.saved: list[Any] = []
        self.created: list[Any] = []

    def before(self, instance: Any, using: str, **_: Any) -> None:
        if not isinstance(instance, self.model) or get_ident() != self.thread:
            return
        self.saved.append(instance)
        if instance._state.adding and instance.pk is not None:  # which Django would store over a row of this key
            rows = self.model._base_manager.using(using)
            if rows.filter(pk=instance.pk).exists():
                raise UniqueViolation(instance, using)

    def after(self, instance: Any, created: bool, **_: Any) -> None:
        if isinstance(instance, self.model) and get_ident() == self.thread and created:
            self.created.append(instance.pk)


@contextmanager
def detect_unique_violation(model: Any, username: str, database: str) -> Iterator[Saving]:
    """Tells of the user of this name, as the project's manager writes it, if the database refuses them.

    :raises UniqueViolation: with the user as they were to be stored.
    """
    saving = Saving(model)
    pre_save.connect(saving.before)
    post_save.connect(saving.after)
    try:
        yield saving
    except IntegrityError as error:
        users = [user for user in saving.saved if same_name(user, username)]
        raise UniqueViolation(users[-1] if users else None, database, error) from error
    finally:
        pre_save.disconnect(saving.before)
        post_save.disconnect(saving.after)


def same_name(user: Any, username: str) -> bool:
    """Whether the user has this name, but for upper and lower case, which managers may change."""
    return str(user.get_username()).casefold() == username.casefold()


def taken_fields(user: Any, database: str) -> list[str]:
    """Fields in which another user has the same value, though none may."""
    meta = type(user)._meta
    unique = [[field.name] for field in meta.concrete_fields if field.unique and not field.primary_key]
    unique += [list(names) for names in meta.unique_together]
    unique += [list(constraint.fields) for constraint in meta.total_unique_constraints]
    found: list[str] = []
    for names in unique:
        with suppress(Exception):  # a field that cannot be looked for is not named
            values = {name: getattr(user, meta.get_field(name).attname) for name in names}
            others = type(user)._base_manager.using(database).exclude(pk=user.pk).filter(**values)
            if None not in values.values() and others.exists():
                found += names
    for constraint in meta.constraints:  # such as of an expression, or under a condition
        if isinstance(constraint, UniqueConstraint) and hasattr(constraint, "validate"):
            try:
                constraint.validate(type(user), user, using=database)
            except ValidationError:
                found += [*constraint.fields, *names_in(constraint.expressions)]
            except Exception:  # noqa: S112 - it cannot be judged here
                continue
    return list(dict.fromkeys(found))


def names_in(expressions: Any) -> list[str]:
    """The fields that expressions are made of."""
    found: list[str] = []
    for expression in expressions:
        if isinstance(expression, F):
            found.append(str(getattr(expression, "name")))  # noqa: B009 - of which its stubs know nothing
        elif hasattr(expression, "get_source_expressions"):
            found += names_in(each for each in expression.get_source_expressions() if each is not None)
    return found
