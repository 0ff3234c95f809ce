"""Users, by option and by environment, on models of all kinds, and by several at once."""

import json

import pytest
from conftest import connect, eventually, finish, sql

NAME = {"DJANGO_ADMIN_USERNAME": "ann", "DJANGO_ADMIN_PASSWORD": "long-enough-1"}
PERSON = {"DJANGO_ADMIN_USERNAME": "ann@example.com", "DJANGO_ADMIN_PASSWORD": "long-enough-1"}


@pytest.fixture
def site(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("postgresql", "users")}
    assert shop.manage("lockedmigrate", "--noinput")[0] == 0
    return shop


@pytest.fixture
def people(site):
    """A model of one's own: an address as name, a required field, a required object, groups."""
    site.settings.update(
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_operator_tasks", "people"],
        AUTH_USER_MODEL="people.Person",
    )
    sql(database(site), "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    assert site.manage("lockedmigrate", "--noinput")[0] == 0
    sql(
        database(site),
        "INSERT INTO people_team (name) VALUES ('ops'), ('dev')",
        "INSERT INTO auth_group (name) VALUES ('readers'), ('writers')",
    )
    return site


def database(site):
    return site.settings["DATABASES"]["default"]


def users(site):
    return sql(database(site), "SELECT username, email, is_superuser, is_staff FROM auth_user ORDER BY id")


def ensure(site, *argv, **env):
    code, output = site.manage("ensureadmin", *argv, **env)
    return output.strip().splitlines()[-1] if code == 0 else (code, output)


def test_options_win_over_the_environment(site):
    env = {**NAME, "DJANGO_ADMIN_EMAIL": "env@example.com"}
    assert ensure(site, "-u", "bob", "-e", "bob@example.com", **env) == "user bob created"
    assert ensure(site, **env) == "user ann created"
    assert users(site) == [("bob", "bob@example.com", True, True), ("ann", "env@example.com", True, True)]


def test_created_left_alone_updated_and_unchanged(site):
    assert ensure(site, **NAME) == "user ann created"
    assert ensure(site, "-e", "new@example.com", **NAME) == "user ann unchanged"
    assert ensure(site, "--update", "-e", "new@example.com", **NAME) == "user ann updated"
    assert ensure(site, "-e", "new@example.com", DJANGO_ADMIN_UPDATE="true", **NAME) == "user ann unchanged"
    assert ensure(site, "--no-update", "-e", "x@example.com", DJANGO_ADMIN_UPDATE="yes", **NAME) == "user ann unchanged"
    check = "from django.contrib.auth import authenticate as a; print([bool(a(username='ann', password=p)) for p in ('long-enough-1', 'other-long-2')])"
    other = {**NAME, "DJANGO_ADMIN_PASSWORD": "other-long-2"}
    assert ensure(site, "--update", "--password-policy=on-create", **other) == "user ann unchanged"
    assert site.script(check).strip() == "[True, False]"
    assert ensure(site, "--update", **other) == "user ann updated"
    assert site.script(check).strip() == "[False, True]"


@pytest.mark.parametrize("name", ["Ann", "\u00e1nn", "ANN"], ids=ascii)
def test_a_database_that_takes_one_name_for_another_does_not_hand_over_an_account(shop, databases, name):
    """As MySQL's collations do, though neither the model nor its manager asked for it."""
    shop.settings["DATABASES"] = {"default": databases("mysql", "collation")}
    assert shop.manage("lockedmigrate", "--noinput")[0] == 0
    assert shop.manage("ensureadmin", "--no-superuser", "--staff", **NAME)[0] == 0
    before = sql(database(shop), "SELECT username, password, is_superuser FROM auth_user")
    env = {"DJANGO_ADMIN_USERNAME": name, "DJANGO_ADMIN_PASSWORD": "another-one-2"}
    code, output = shop.manage("ensureadmin", "--update", "--superuser", **env)
    assert code == 1 and "--username: for the database this is the name of another user, ann" in output, output
    assert sql(database(shop), "SELECT username, password, is_superuser FROM auth_user") == before


def test_who_listens_hears_of_a_user_once(site):
    """As of one that `createsuperuser` makes."""
    site.add_application(
        "listening",
        apps="from django.apps import AppConfig\n"
        "class Listening(AppConfig):\n    name = 'listening'\n    default = True\n"
        "    def ready(self):\n"
        "        from django.contrib.auth import get_user_model\n"
        "        from django.db.models.signals import post_save\n"
        "        post_save.connect(self.hear, sender=get_user_model())\n"
        "    def hear(self, instance, created, **_): print('heard', created)\n",
    )
    code, output = site.manage("ensureadmin", **NAME)
    assert (code, output.splitlines()) == (0, ["heard True", "user ann created"])
    code, output = site.manage("ensureadmin", "--update", "-e", "b@example.com", **NAME)
    assert (code, output.splitlines()) == (0, ["heard False", "user ann updated"])


def test_staff_without_all_rights(site):
    assert ensure(site, "--staff", "--no-superuser", **NAME) == "user ann created"
    assert ensure(site, "-u", "bob", DJANGO_ADMIN_STAFF="true", **NAME) == "user bob created"
    assert ensure(site, "-u", "eve", "--no-staff", "--no-superuser", **NAME) == "user eve created"
    assert [row[2:] for row in users(site)] == [(False, True), (False, True), (False, False)]
    assert ensure(site, "--update", "--superuser", **NAME) == "user ann updated"
    assert ensure(site, "--update", **NAME) == "user ann unchanged", "without a word nobody loses rights"
    assert sorted(row[2:] for row in users(site)) == [(False, False), (False, True), (True, True)]


REPEATABLE_READ, SERIALIZABLE = 3, 4  # of psycopg


@pytest.mark.parametrize(
    ("engine", "number", "isolation"),
    [
        ("postgresql", 2, None),
        ("postgresql", 8, None),
        ("postgresql", 4, REPEATABLE_READ),
        ("postgresql", 6, SERIALIZABLE),
        ("mysql", 4, None),
        ("mysql", 6, "serializable"),
        ("sqlite", 4, None),
    ],
)
def test_several_at_once_make_one_user(shop, databases, engine, number, isolation):
    site = shop
    site.settings["DATABASES"] = {"default": databases(engine, "users")}
    if isolation:
        database(site)["OPTIONS"] = {"isolation_level": isolation}
    assert site.manage("lockedmigrate", "--noinput")[0] == 0
    processes = [site.start("manage.py", "ensureadmin", "--update", **NAME) for _ in range(number)]
    ends = [finish(process) for process in processes]
    assert {code for code, _ in ends} == {0}, ends
    assert sum("created" in output for _, output in ends) == 1 and len(users(site)) == 1


SLOW = """
import time
from django.contrib.auth.hashers import MD5PasswordHasher
class Slow(MD5PasswordHasher):
    algorithm = "slow"
    def encode(self, *args): time.sleep(8); return super().encode(*args)
"""


def test_a_password_is_hashed_while_nobody_waits_for_it(shop, databases):
    """On a busy machine a hash takes seconds: under a lock, those who wait would be given up one after the other."""
    shop.settings["DATABASES"] = {"default": databases("mysql", "users")}
    database(shop)["OPTIONS"] = {"isolation_level": "serializable"}
    shop.add_application("slow", hashers=SLOW)
    shop.settings["PASSWORD_HASHERS"] = ["slow.hashers.Slow"]
    assert shop.manage("lockedmigrate", "--noinput")[0] == 0
    for password, done in (("long-enough-1", "created"), ("other-long-2", "updated")):
        wanted = {**NAME, "DJANGO_ADMIN_PASSWORD": password}
        processes = [shop.start("manage.py", "ensureadmin", "--update", **wanted) for _ in range(8)]
        ends = [finish(process) for process in processes]
        assert {code for code, _ in ends} == {0}, ends
        assert sum(done in output for _, output in ends) == 1 and len(users(shop)) == 1


UNIQUE = """
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
class Member(AbstractUser):
    email = models.EmailField(unique=True)
    badge = models.CharField(max_length=20, null=True)
    desk = models.CharField(max_length=20, null=True)
    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["badge"], name="one_badge_each"),
            models.UniqueConstraint(Lower("desk"), name="one_desk_each"),
        ]
"""


@pytest.fixture
def members(shop, databases):
    """Users whose e-mail address and badge nobody else may have."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "members")}
    shop.add_application("members", models=UNIQUE)
    shop.settings["AUTH_USER_MODEL"] = "members.Member"
    for argv in (["makemigrations", "members"], ["migrate", "--noinput"]):
        assert shop.manage(*argv)[0] == 0
    return shop


def rows(site):
    return sql(database(site), "SELECT username, email, is_superuser, password FROM members_member ORDER BY id")


def test_an_account_of_another_name_is_never_taken_over(members):
    """`admin`, without an address, is not `Admin`, who wants no address either: both cannot be."""
    assert ensure(members, "-u", "admin", "--no-superuser", "--no-staff", **NAME) == "user admin created"
    before = rows(members)
    other = {"DJANGO_ADMIN_USERNAME": "Admin", "DJANGO_ADMIN_PASSWORD": "other-long-2"}
    code, output = ensure(members, "--update", "--superuser", "--staff", **other)
    assert code == 1 and "--email: another user has this value already" in output, output
    assert rows(members) == before


def test_a_user_that_was_not_made_is_no_success(members):
    assert ensure(members, "-u", "bob", "-e", "bob@example.com", **NAME) == "user bob created"
    assert ensure(members, "-u", "admin", "-e", "admin@example.com", **NAME) == "user admin created"
    before = rows(members)
    code, output = ensure(members, "-u", "Admin", "-e", "bob@example.com", **NAME)
    assert code == 1 and "--email: another user has this value already" in output, output
    assert "bob@example.com" not in output and "Traceback" not in output, output
    for argv in (["-u", "eve", "-e", "eve@example.com"], ["-u", "admin", "--update"]):
        assert ensure(members, "-u", "bob", "--update", "-a", "badge=7", **NAME).startswith("user bob ")
        code, output = ensure(members, *argv, "-a", "badge=7", **NAME)
        assert code == 1 and "--attribute badge: another user has this value already" in output, output
        assert ensure(members, "-u", "bob", "--update", "-a", "desk=A7", **NAME).startswith("user bob ")
        code, output = ensure(members, *argv, "-a", "desk=a7", **NAME)
        assert code == 1 and "--attribute desk: another user has this value already" in output, output
    assert [row[:3] for row in rows(members)] == [row[:3] for row in before]


def test_a_name_that_is_no_address_is_taken_as_it_is(site):
    """A domain in lower case is the same address, and another name."""
    for name in ("ann@example.com", "ann@EXAMPLE.com"):
        assert ensure(site, "-u", name, "--no-superuser", "--no-staff", **NAME) == f"user {name} created"
    other = {"DJANGO_ADMIN_USERNAME": "ann@EXAMPLE.com", "DJANGO_ADMIN_PASSWORD": "other-long-2"}
    assert ensure(site, "--update", "--superuser", **other) == "user ann@EXAMPLE.com updated"
    assert ensure(site, "-u", "ann@Example.com", **NAME) == "user ann@Example.com created"
    assert [(row[0], row[2]) for row in users(site)] == [
        ("ann@example.com", False),
        ("ann@EXAMPLE.com", True),
        ("ann@Example.com", True),
    ]


TAKING = """
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
class Keyed(BaseUserManager):
    def create_superuser(self, name, password):
        user = self.model(name=name.lower(), is_superuser=True); user.set_password(password); user.save(using=self._db)
        return user
class Getting(BaseUserManager):
    def create_superuser(self, name, password):
        user, _ = self.get_or_create(name=name.lower()); user.is_superuser = True; user.set_password(password); user.save()
        return user
class Base(AbstractBaseUser):
    is_superuser = models.BooleanField(default=False)
    USERNAME_FIELD = "name"
    class Meta: abstract = True
class KeyedUser(Base):
    name = models.CharField(max_length=20, primary_key=True)
    objects = Keyed()
class GettingUser(Base):
    name = models.CharField(max_length=20, unique=True)
    objects = Getting()
"""


@pytest.mark.parametrize("model", ["KeyedUser", "GettingUser"])
def test_a_manager_that_would_write_over_another_user_does_not(shop, databases, model):
    """By a key that is the name, or as it takes who is there: no new user, so an existing one, that is left alone."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "taking")}
    shop.add_application("members", models=TAKING)
    shop.settings["AUTH_USER_MODEL"] = "members." + model
    assert shop.manage("migrate", "--run-syncdb", "--noinput")[0] == 0
    table = "members_" + model.lower()
    sql(database(shop), f"INSERT INTO {table} (name, password, is_superuser) VALUES ('admin', 'secret', false)")
    look = f"SELECT name, password, is_superuser FROM {table}"
    assert ensure(shop, "-u", "Admin", "-p", "long-enough-1") == "user admin unchanged"
    assert sql(database(shop), look) == [("admin", "secret", False)]
    assert ensure(shop, "-u", "Bob", "-p", "long-enough-1") == "user bob created"
    assert [row[0] for row in sql(database(shop), look + " ORDER BY name")] == ["admin", "bob"]


NOT_UNIQUE = """
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
class Members(BaseUserManager):
    def create_superuser(self, name, password):
        user = self.model(name=name); user.set_password(password); user.save(using=self._db)
        return user
class Member(AbstractBaseUser):
    name = models.CharField(max_length=20)
    agreed = models.BooleanField(default=False)
    USERNAME_FIELD = "name"
    objects = Members()
"""


def test_of_several_users_of_a_name_none_is_taken(shop, databases):
    """Names need not be unique; MySQL finds them in other spellings as well."""
    shop.settings["DATABASES"] = {"default": databases("mysql", "collation")}
    shop.add_application("members", models=NOT_UNIQUE)
    shop.settings["AUTH_USER_MODEL"] = "members.Member"
    shop.settings["SILENCED_SYSTEM_CHECKS"] = ["auth.E003"]
    assert shop.manage("migrate", "--run-syncdb", "--noinput")[0] == 0
    rows = ["('ANN', 'x', 0)", "('ann', 'x', 0)", "('bob', 'x', 0)", "('bob', 'x', 0)"]
    sql(database(shop), "INSERT INTO members_member (name, password, agreed) VALUES " + ", ".join(rows))
    look = "SELECT name, agreed FROM members_member ORDER BY id"
    argv = ["--update", "-a", "agreed=yes", "-p", "long-enough-1"]
    assert ensure(shop, "-u", "ann", *argv) == "user ann updated"
    assert sql(database(shop), look) == [("ANN", 0), ("ann", 1), ("bob", 0), ("bob", 0)]
    code, output = shop.manage("ensureadmin", "-u", "bob", *argv)
    assert code == 1 and "--username: several users have this name" in output, output
    assert sql(database(shop), look) == [("ANN", 0), ("ann", 1), ("bob", 0), ("bob", 0)]


OF_TENANTS = """
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
class Members(BaseUserManager):
    def create_superuser(self, name, password):
        user = self.model(name=name, tenant=2); user.set_password(password); user.save(using=self._db)
        return user
    def get_by_natural_key(self, name): return self.get(name=name, tenant=2)
class Member(AbstractBaseUser):
    name = models.CharField(max_length=20)
    tenant = models.IntegerField()
    agreed = models.BooleanField(default=False)
    USERNAME_FIELD = "name"
    objects = Members()
    class Meta: unique_together = [("name", "tenant")]
"""


def test_who_has_the_name_is_the_managers_own_word(shop, databases):
    """Where the name is one of a tenant alone."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "of_tenants")}
    shop.add_application("members", models=OF_TENANTS)
    shop.settings["AUTH_USER_MODEL"] = "members.Member"
    shop.settings["SILENCED_SYSTEM_CHECKS"] = ["auth.E003"]
    assert shop.manage("migrate", "--run-syncdb", "--noinput")[0] == 0
    rows = ["('ann', 'x', 1, false)", "('ann', 'x', 2, false)", "('bob', 'x', 1, false)"]
    sql(database(shop), "INSERT INTO members_member (name, password, tenant, agreed) VALUES " + ", ".join(rows))
    argv = ["--update", "-a", "agreed=yes", "-p", "long-enough-1"]
    assert ensure(shop, "-u", "ann", *argv) == "user ann updated"
    code, output = shop.manage("ensureadmin", "-u", "bob", *argv)
    assert code == 1 and "whom the manager's get_by_natural_key does not find" in output, output
    assert ensure(shop, "-u", "eve", *argv) == "user eve created"
    found = sql(database(shop), "SELECT name, tenant, agreed FROM members_member ORDER BY name, tenant")
    assert found == [("ann", 1, False), ("ann", 2, True), ("bob", 1, False), ("eve", 2, True)]


NATURAL_KEYS = {
    "the first in any spelling": "def get_by_natural_key(self, name): return self.filter(name__iexact=name).order_by('pk').first()",
    "the only one in any spelling": "def get_by_natural_key(self, name): return self.get(name__iexact=name)",
    "of two": "def get_by_natural_key(self, name, tenant): return self.get(name=name, agreed=tenant)",
}


@pytest.mark.parametrize("key", NATURAL_KEYS)
def test_the_one_that_is_written_so_is_meant(shop, databases, key):
    """Whatever the manager makes of the name, where it is not unique."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "natural_keys")}
    manager = "class Members(BaseUserManager):\n"
    shop.add_application("members", models=NOT_UNIQUE.replace(manager, manager + "    %s\n" % NATURAL_KEYS[key]))
    shop.settings["AUTH_USER_MODEL"] = "members.Member"
    shop.settings["SILENCED_SYSTEM_CHECKS"] = ["auth.E003"]
    assert shop.manage("migrate", "--run-syncdb", "--noinput")[0] == 0
    rows = "('admin', 'x', false), ('Admin', 'x', false)"
    sql(database(shop), "INSERT INTO members_member (name, password, agreed) VALUES " + rows)
    argv = ["--update", "-a", "agreed=yes", "-p", "long-enough-1"]
    assert ensure(shop, "-u", "Admin", *argv) == "user Admin updated"
    assert ensure(shop, "-u", "Admin", *argv) == "user Admin unchanged"
    found = sql(database(shop), "SELECT name, agreed FROM members_member ORDER BY id")
    assert found == [("admin", False), ("Admin", True)]


def test_the_projects_validators_judge_new_passwords_only(site):
    assert ensure(site, **NAME) == "user ann created"
    site.settings["AUTH_PASSWORD_VALIDATORS"] = [
        {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"}
    ]
    assert ensure(site, "--update", **NAME) == "user ann unchanged"
    code, output = ensure(site, "--update", "-p", "123456789", **NAME)
    assert code == 1 and "entirely numeric" in output
    assert ensure(site, "-p", "123456789", **NAME) == "user ann unchanged", "nothing to judge"


@pytest.mark.everywhere
def test_a_model_of_ones_own(people):
    code, output = ensure(people, **PERSON)
    assert code == 1 and "requires team, nickname as well" in output and "$DJANGO_ADMIN_NICKNAME" in output
    assert (
        ensure(people, "-a", "nickname=Ann", "--attribute", "team=1", "-a", "groups=1,2", **PERSON)
        == "user ann@example.com created"
    )
    look = "SELECT email, nickname, team_id, is_superuser, (SELECT count(*) FROM people_person_groups g WHERE g.person_id = p.id) FROM people_person p"
    assert sql(database(people), look) == [("ann@example.com", "Ann", 1, True, 2)]
    attributes = {"DJANGO_ADMIN_ATTRIBUTES": json.dumps({"nickname": "Anna", "groups": [2]})}
    assert ensure(people, "--update", **attributes, **PERSON) == "user ann@example.com updated"
    assert ensure(people, "--update", **attributes, **PERSON) == "user ann@example.com unchanged"
    assert sql(database(people), look) == [("ann@example.com", "Anna", 1, True, 1)]
    assert (
        ensure(
            people,
            DJANGO_ADMIN_NICKNAME="Bob",
            DJANGO_ADMIN_TEAM="2",
            **{**PERSON, "DJANGO_ADMIN_USERNAME": "b@example.com"},
        )
        == "user b@example.com created"
    )


@pytest.mark.parametrize(
    ("argv", "env", "text"),
    [
        (["-a", "nickname"], {}, "write FIELD=VALUE"),
        (["-a", "nope=1"], {}, "--attribute nope: "),
        (["-a", "team=99"], {}, "--attribute team: there is no people.Team with the key 99"),
        (["-a", "groups=99"], {}, "no auth.Group with the key 99"),
        (["-a", "groups=x"], {}, "--attribute groups: "),
        ([], {"DJANGO_ADMIN_ATTRIBUTES": "[1]"}, "no JSON object"),
        ([], {"DJANGO_ADMIN_STAFF": "perhaps"}, "write true or false"),
        ([], {"DJANGO_ADMIN_PASSWORD_POLICY": "never"}, "write always or on-create"),
        (["-u", "x" * 300], {}, "--username: "),
        (["-a", "is_active=maybe"], {}, "--attribute is_active: "),
    ],
    ids=str,
)
def test_bad_input_is_named_and_nobody_is_made(people, argv, env, text):
    code, output = ensure(people, "-a", "nickname=Ann", "-a", "team=1", *argv, **PERSON, **env)
    assert code == 1 and text in output and "Traceback" not in output, output
    assert sql(database(people), "SELECT count(*) FROM people_person") == [(0,)]


def test_a_manager_that_takes_no_address_and_a_table_in_a_schema(site):
    """Both are common; the address is set afterwards."""
    model = (
        "from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager\nfrom django.db import models\n"
        "class Manager(BaseUserManager):\n"
        "    def create_superuser(self, login, password):\n"
        "        user = self.model(login=login); user.set_password(password); user.save(using=self._db); return user\n"
        "class Account(AbstractBaseUser):\n"
        "    login = models.CharField(max_length=20, unique=True)\n    email = models.EmailField(default='')\n"
        "    objects = Manager()\n    USERNAME_FIELD = 'login'\n"
        "    class Meta: db_table = 'public\".\"people_account'\n"
    )
    site.add_application("accounts", models=model)
    site.settings["AUTH_USER_MODEL"] = "accounts.Account"
    sql(
        database(site),
        "CREATE TABLE people_account (id bigserial, password text, last_login timestamptz, login text, email text)",
    )
    assert ensure(site, "-e", "ann@example.com", **NAME) == "user ann created"
    assert sql(database(site), "SELECT login, email FROM people_account") == [("ann", "ann@example.com")]


def test_a_missing_right_is_called_so(site):
    role = "CREATE ROLE poor LOGIN PASSWORD 'poor'"
    sql(database(site), "DROP ROLE IF EXISTS poor", role, "GRANT SELECT ON django_migrations TO poor")
    site.settings["DATABASES"]["default"] = {**database(site), "USER": "poor", "PASSWORD": "poor"}
    code, output = ensure(site, **NAME)
    assert code == 1
    assert "permission denied for table auth_user" in output


def test_a_value_that_is_stored_in_another_form_is_no_change(site):
    changes = ["--update", "-e", "Ann@EXAMPLE.com", "-a", "date_joined=2024-01-01T00:00:00"]
    site.settings["USE_TZ"] = True
    assert ensure(site, "-e", "Ann@EXAMPLE.com", **NAME) == "user ann created"
    assert users(site)[0][1] == "Ann@example.com"
    assert ensure(site, *changes, **NAME) == "user ann updated", "of the date"
    assert ensure(site, *changes, **NAME) == "user ann unchanged"
    assert users(site)[0][1] == "Ann@example.com"


def test_an_update_neither_overlooks_nor_writes_over_what_others_change(site):
    """The row is locked while it is compared: whoever changed it before is waited for."""
    assert ensure(site, **NAME) == "user ann created"
    with connect(database(site)) as other:
        other.autocommit = False
        other.execute("UPDATE auth_user SET first_name = 'Edited', is_active = false")
        with site.start("manage.py", "ensureadmin", "--update", "-e", "new@example.com", **NAME) as updating:
            waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            eventually(lambda: sql(database(site), waits) == [(1,)], "it waits for the row")
            other.commit()
            assert finish(updating)[1].endswith("user ann updated\n")
    row = sql(database(site), "SELECT first_name, is_active, email FROM auth_user")
    assert row == [("Edited", False, "new@example.com")]


def test_a_related_object_is_looked_for_in_the_same_database(people, databases):
    people.settings["DATABASES"]["other"] = databases("postgresql", "other_users")
    assert people.manage("lockedmigrate", "--database=other", "--noinput")[0] == 0
    sql(people.settings["DATABASES"]["other"], "INSERT INTO people_team (id, name) VALUES (7, 'there')")
    wanted = ["-a", "nickname=Ann", "-d", "other"]
    assert ensure(people, *wanted, "-a", "team=7", **PERSON) == "user ann@example.com created"
    code, output = ensure(people, *wanted, "-a", "team=1", "--update", **PERSON)
    assert code == 1 and "no people.Team with the key 1" in output and "Traceback" not in output


MODELS = """
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
class Lower(BaseUserManager):
    def create_superuser(self, email, password): return self.make(email.lower(), password)
    def make(self, email, password, **more):
        user = self.model(email=email, **more)
        user.set_password(password)
        user.save(using=self._db)
        return user
class Natural(Lower):
    def get_by_natural_key(self, email): return self.get(email__iexact=email)
class Silent(Lower):
    def create_superuser(self, email, password): self.make(email, password)
class Needing(Lower):
    def create_superuser(self, name, email, password): return self.make(email or '', password, name=name)
class Base(AbstractBaseUser):
    email = models.EmailField(unique=True, max_length=100)
    agreed = models.BooleanField(default=False)
    USERNAME_FIELD = "email"
    class Meta: abstract = True
class LowerUser(Base): objects = Lower()
class NaturalUser(Base): objects = Natural()
class SilentUser(Base): objects = Silent()
class Team(models.Model): pass
class Joined(Lower):
    def get_queryset(self): return super().get_queryset().select_related("team")
class JoinedUser(Base):
    team = models.ForeignKey(Team, null=True, on_delete=models.SET_NULL)
    objects = Joined()
    class Meta: base_manager_name = "objects"
class Note(models.Model): user = models.ForeignKey(JoinedUser, on_delete=models.CASCADE)
class NeedingUser(Base):
    name = models.CharField(max_length=20, unique=True)
    USERNAME_FIELD = "name"
    objects = Needing()
"""


@pytest.mark.parametrize("model", ["LowerUser", "NaturalUser", "SilentUser", "NeedingUser", "JoinedUser"])
def test_what_managers_do_otherwise(shop, databases, model):
    """Lower case, nothing returned, an address that has to be given."""
    shop.settings["DATABASES"] = {"default": databases("postgresql", "managers")}
    shop.add_application("members", models=MODELS)
    shop.settings["AUTH_USER_MODEL"] = "members." + model
    assert shop.manage("migrate", "--run-syncdb", "--noinput")[0] == 0
    name = "Ann@Example.com"
    argv = ["-u", name, "-p", "long-enough-1", "-a", "agreed=yes", "--update"]
    assert ensure(shop, *argv).endswith(" created")
    assert ensure(shop, *argv).endswith(" unchanged")
    rows = sql(database(shop), "SELECT agreed FROM members_" + model.lower())
    assert rows == [(True,)]
    if model == "JoinedUser":
        code, output = ensure(shop, *argv, "-a", "note=1")
        assert code == 1 and "note: it is no field of members.JoinedUser, but one of members.Note" in output


@pytest.mark.parametrize("argv", [["-a", "password=foo"], ["-a", "username=bob"]], ids=str)
def test_what_has_an_option_of_its_own_is_no_attribute(site, argv):
    code, output = ensure(site, *argv, **NAME)
    assert code == 1 and "it is no attribute; use --" in output
    assert users(site) == []


def test_an_update_stays_in_its_database_whatever_a_router_says(site, databases):
    site.settings["DATABASES"]["other"] = databases("postgresql", "other_users")
    site.add_application("routing", router="class R:\n    def db_for_write(self, model, **hints): return 'default'\n")
    assert site.manage("lockedmigrate", "--database=other", "--noinput")[0] == 0
    assert ensure(site, **{**NAME, "DJANGO_ADMIN_USERNAME": "boss"}) == "user boss created"
    site.settings["DATABASE_ROUTERS"] = ["routing.router.R"]
    assert ensure(site, "-d", "other", **NAME) == "user ann created"
    assert (
        ensure(site, "-d", "other", "--update", "-p", "long-enough-2", "-e", "a@example.com", **NAME)
        == "user ann updated"
    )
    assert [row[0] for row in users(site)] == ["boss"]
    other = sql(site.settings["DATABASES"]["other"], "SELECT username, email FROM auth_user")
    assert other == [("ann", "a@example.com")]


def test_outside_of_a_job_a_migration_to_come_is_the_callers_affair(site):
    """Entrypoints run it while a release is under way."""
    sql(database(site), "DELETE FROM django_migrations WHERE app = 'auth' AND name LIKE '0012%'")
    assert ensure(site, **NAME) == "user ann created"


DIRECTORY = """
from django.contrib.auth.models import BaseUserManager, PermissionsMixin
from django.db import models
class Manager(BaseUserManager):
    def create_user(self, username, first_name): return self.create(username=username, first_name=first_name)
    def create_superuser(self, username, first_name, password=None):
        return self.create(username=username, first_name=first_name, is_superuser=True)
class Member(models.Model):
    username = models.CharField(max_length=99, unique=True)
    first_name = models.CharField(max_length=99)
    is_superuser = models.BooleanField(default=False)
    objects = Manager()
    USERNAME_FIELD, REQUIRED_FIELDS = "username", ["first_name"]
    is_anonymous, is_authenticated = False, True
    def get_username(self): return self.username
"""


@pytest.mark.parametrize("superuser", ["true", "false"])
def test_users_of_a_directory_have_no_password(shop, databases, superuser):
    """A model that has nothing of Django's, and whose manager may take no password."""
    shop.settings.update(DATABASES={"default": databases("postgresql", "users")}, AUTH_USER_MODEL="members.Member")
    shop.add_application("members", models=DIRECTORY)
    assert shop.manage("migrate", "--run-syncdb")[0] == 0
    job = {"DJANGO_OPERATOR_RUN": '{"secretEnv": []}', "DJANGO_ADMIN_SUPERUSER": superuser, **NAME}
    code, output = shop.manage("ensureadmin", **job)
    assert code == 1 and "requires first_name as well; set spec.attributes.first_name" in output
    job["DJANGO_ADMIN_ATTRIBUTES"] = '{"first_name": "Ann"}'
    assert ensure(shop, **job) == "user ann created"
    assert ensure(shop, "--update", **job) == "user ann unchanged"
    job["DJANGO_ADMIN_ATTRIBUTES"] = '{"first_name": "Anna"}'
    assert ensure(shop, "--update", **job) == "user ann updated"
    found = sql(shop.settings["DATABASES"]["default"], "SELECT username, first_name, is_superuser FROM members_member")
    assert found == [("ann", "Anna", superuser == "true")]
