"""A project that has the package installed. Whatever a test wants otherwise, it gives as JSON in SETTINGS."""

import json
import os

SECRET_KEY = "key-of-the-tests"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
    "django_operator_tasks",
    "stock",
]
MIDDLEWARE = ["django_operator_tasks.middleware.ProbeMiddleware"]
ROOT_URLCONF = "shop.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE_FILE", ":memory:")}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True
globals().update(json.loads(os.environ.get("SETTINGS", "{}")))
CELERY_BROKER_URL = os.environ.get("BROKER_URL", "memory://")
