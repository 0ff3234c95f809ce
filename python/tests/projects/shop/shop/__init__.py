import contextlib

with contextlib.suppress(ImportError):  # not every environment of the tests has Celery
    from .celery import app as celery_app  # noqa: F401
