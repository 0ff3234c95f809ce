"""A user model that shares nothing with Django's: no username, no staff flag, a team."""

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


class PersonManager(BaseUserManager):
    def _make(self, email, password, **fields):
        person = self.model(email=self.normalize_email(email), **fields)
        person.set_password(password)
        person.save(using=self._db)
        return person

    def create_user(self, email, password=None, **fields):
        return self._make(email, password, **fields)

    def create_superuser(self, email, password=None, **fields):
        return self._make(email, password, is_superuser=True, is_staff=True, **fields)


class Person(AbstractBaseUser, PermissionsMixin):
    email = models.EmailField(unique=True)
    team = models.CharField(max_length=20)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    objects = PersonManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["team"]
