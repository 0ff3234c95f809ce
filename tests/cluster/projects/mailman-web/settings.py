"""Settings of Mailman's web interface for one site."""

import os

from mailman_web.settings.base import *
from mailman_web.settings.mailman import *

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
STATIC_ROOT = "/srv/static/mailman-web"
LOGGING = {"version": 1}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "postgres",
        "NAME": "mailman_web",
        "USER": "myapp",
        "PASSWORD": os.environ["DATABASE_PASSWORD"],
    }
}
