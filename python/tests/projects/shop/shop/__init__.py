try:
    from .celery import app as celery_app  # noqa: F401
except ImportError:
    pass  # not every environment of the tests has Celery
