"""A project with a schema for each tenant, whose `migrate` is that of django-tenants."""

import json
import os

SECRET_KEY = "key-of-the-tests"
SHARED_APPS = ["django_tenants", "customers", "django.contrib.contenttypes"]
TENANT_APPS = ["notes"]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS, "django_operator_tasks"]
DATABASES = json.loads(os.environ["SETTINGS"])["DATABASES"]
DATABASES["default"]["ENGINE"] = "django_tenants.postgresql_backend"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
TENANT_MODEL, TENANT_DOMAIN_MODEL = "customers.Client", "customers.Domain"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
