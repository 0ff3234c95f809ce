"""Settings of one site, which its template's settings for production read last."""

import os

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
STATIC_ROOT = "/srv/static/wagtail"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "postgres",
        "NAME": "wagtail",
        "USER": "myapp",
        "PASSWORD": os.environ["DATABASE_PASSWORD"],
    }
}
