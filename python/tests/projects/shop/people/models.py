"""Users that are known by their address, and belong to a team."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class Team(models.Model):
    name = models.CharField(max_length=50)


class PersonManager(BaseUserManager):
    """As Django's documentation has it: a required object comes by its key."""

    def create_user(self, email, password, team, nickname, **more):
        person = self.model(email=self.normalize_email(email), team_id=team, nickname=nickname, **more)
        person.set_password(password)
        person.save(using=self._db)
        return person

    def create_superuser(self, email, password, team, nickname):
        return self.create_user(email, password, team, nickname, is_superuser=True)


class Person(AbstractBaseUser, PermissionsMixin):
    email = models.EmailField(unique=True, max_length=100)
    nickname = models.CharField(max_length=20)
    team = models.ForeignKey(Team, models.PROTECT)
    is_active = models.BooleanField(default=True)
    objects = PersonManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["team", "nickname"]
