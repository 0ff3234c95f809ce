"""A project as its owner wrote it for djk8s: settings, middleware, URLs, a probe of its own."""

import json
import os

SECRET_KEY = "key-of-the-tests"
DEBUG = True
ALLOWED_HOSTS = ["shop.example.com"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "djk8s"]
MIDDLEWARE = [
    "djk8s.middleware.ProbeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
SECURE_SSL_REDIRECT = True
ROOT_URLCONF = "legacy.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE_FILE", ":memory:")}}
DJK8S_READINESS_PROBES = ("djk8s.probes.DatabaseProbe", "djk8s.probes.MemcachedProbe", "legacy.probes.FlagProbe")
DJK8S_READY_PATHS = ("/readyz", "/internal/ready")
LOGGING = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"djk8s.probe": {"handlers": ["console"], "level": "DEBUG"}},
}
globals().update(json.loads(os.environ.get("SETTINGS", "{}")))
