"""The same project with a user model of its own."""

from .settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "people"]  # noqa: F405
AUTH_USER_MODEL = "people.Person"
