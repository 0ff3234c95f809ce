"""Settings of NEMO for one site, after those that its own tests have."""

import os

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = ["*"]
AUTH_USER_MODEL = "NEMO.User"
ROOT_URLCONF = "NEMO.urls"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
LOGIN_URL = LOGIN_REDIRECT_URL = "login"
USE_TZ, TIME_ZONE = True, "UTC"
USE_I18N = False
DATETIME_FORMAT, DATE_FORMAT, TIME_FORMAT = "l, F jS, Y @ g:i A", "m/d/Y", "g:i A"
DATETIME_INPUT_FORMATS, DATE_INPUT_FORMATS, TIME_INPUT_FORMATS = ["%m/%d/%Y %I:%M %p"], ["%m/%d/%Y"], ["%I:%M %p"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.admin",
    "django.contrib.humanize",
    "NEMO",
    "NEMO.apps.kiosk",
    "NEMO.apps.area_access",
    "rest_framework",
    "django_filters",
    "mptt",
    "auditlog",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "NEMO.context_processors.base_context",
                "django.contrib.auth.context_processors.auth",
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["DATABASE_HOST"],
        "NAME": os.environ["DATABASE_NAME"],
        "USER": "myapp",
        "PASSWORD": os.environ["DATABASE_PASSWORD"],
    }
}
STATIC_URL, STATIC_ROOT = "/static/", "/srv/static/nemo"
MEDIA_URL, MEDIA_ROOT = "/media/", "/tmp/media"
SERVER_EMAIL = "nemo@example.org"
EMAIL_FILE_PATH = "/tmp/email"
ALLOW_CONDITIONAL_URLS = True
IDENTITY_SERVICE = {"available": False, "url": "https://identity.example.org/", "domains": []}
