"""The test project with the package among its applications."""

from .settings import *  # noqa: F403
from .settings import INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [*INSTALLED_APPS, "django_operator_tasks"]
MIDDLEWARE = ["django_operator_tasks.middleware.ProbeMiddleware", *MIDDLEWARE]
