"""A user that is made while migrations are still to come, of whatever application: no order of applying fails."""

import pytest
from conftest import finish, output_until, sql

JOB = {"DJANGO_OPERATOR_RUN": '{"secretEnv": []}'}
USER = {"DJANGO_ADMIN_USERNAME": "ann", "DJANGO_ADMIN_PASSWORD": "long enough 1"}
MODELS = """
import os
from django.contrib.auth.models import User
from django.db import models
from django.db.models.signals import post_save
class Profile(models.Model):
    user = models.OneToOneField(User, models.CASCADE)
    colour = models.CharField(max_length=9, default="")
def make(sender, instance, created, **kwargs):
    if created:
        with open(os.environ["ATTEMPTS"], "a") as attempts:
            attempts.write("x")
        Profile.objects.create(user=instance)
post_save.connect(make, sender=User)
"""
MIGRATIONS = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("auth", "0012_alter_user_first_name_max_length")]
    operations = [
        migrations.CreateModel("Profile", [
            ("id", models.BigAutoField(primary_key=True)),
            ("user", models.OneToOneField("auth.User", models.CASCADE)),
            ("shape", models.CharField(max_length=9)),
        ]),
    ]
"""
COLOUR = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("profiles", "0001_initial")]
    operations = [migrations.AddField("profile", "colour", models.CharField(max_length=9, default=""))]
"""
SHAPE = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("profiles", "0002_colour")]
    operations = [migrations.RemoveField("profile", "shape")]
"""
MORE = """
from django.db import migrations
class Migration(migrations.Migration):
    dependencies = [("profiles", "%s")]
    operations = []
"""
SHORT = "from django_operator_tasks import migration_waits as waits; waits.STALLED_SECONDS = 2; waits.PAUSE = 0.2\n"
ENSURE = (
    SHORT + "from django.core.management import execute_from_command_line as run; run(['manage.py', 'ensureadmin'])"
)


@pytest.fixture(params=["postgresql", "mysql", "sqlite"])
def site(request, shop, databases):
    """A project whose users have profiles, of an application of its own."""
    shop.settings["DATABASES"] = {"default": databases(request.param, "waits")}
    files = {
        "models": MODELS,
        "migrations__0001_initial": MIGRATIONS,
        "migrations__0002_colour": COLOUR,
        "migrations__0003_shape": SHAPE,
    }
    shop.add_application("profiles", **files)
    shop.env["ATTEMPTS"] = str(shop.tmp_path / "attempts")
    return shop


def attempts(site):
    """How often a user's signal was sent, whose effects nobody takes back. A row that is refused is one too many twice:
    another process may have made the user just now."""
    return len((site.tmp_path / "attempts").read_text())


def users(site):
    return site.script(
        "from django.contrib.auth.models import User; print('users:', [u.username for u in User.objects.all()])"
    )


@pytest.mark.parametrize("until", [None, "0001", "0002"], ids=["no table", "a column too few", "a column too many"])
def test_what_a_signal_touches_is_waited_for(site, until):
    for step in (("auth",), ("profiles", until)):
        if step[-1]:
            assert site.manage("migrate", *step)[0] == 0
    with site.start("manage.py", "ensureadmin", **JOB, **USER) as process:
        said = output_until(process, "waiting for migrations, as it says: ")
        assert "long enough" not in said
        assert site.manage("lockedmigrate", "--noinput")[0] == 0
        code, output = finish(process)
    assert code == 0 and "user ann created" in output, output
    assert "users: ['ann']" in users(site)
    if until == "0002":
        assert attempts(site) == 3


def test_without_progress_the_wait_ends_and_says_who_holds_the_lock(site):
    assert site.manage("migrate", "auth")[0] == 0
    code, output = site.python("-c", setup(ENSURE), **JOB, **USER)
    assert code == 1 and "migrations are pending: " in output, output
    assert "nothing was migrated for " in output and "and nobody is known to hold migration lock 1000" in output


def test_a_row_that_is_refused_is_tried_again_when_all_is_migrated_and_not_at_each_migration(site):
    files = {"migrations__0004_more": MORE % "0003_shape", "migrations__0005_more": MORE % "0004_more"}
    site.add_application("profiles", **files)
    for step in (("auth",), ("profiles", "0002")):
        assert site.manage("migrate", *step)[0] == 0
    with site.start("manage.py", "ensureadmin", **JOB, **USER) as process:
        output_until(process, "waiting for migrations, as it says: ")
        for step in ("0003", "0004"):
            assert site.manage("migrate", "profiles", step)[0] == 0
            eventually_longer_than(process, 2)
        assert attempts(site) == 2
        assert site.manage("migrate")[0] == 0
        code, output = finish(process)
    assert code == 0 and "user ann created" in output and attempts(site) == 3, output


def test_a_row_that_is_refused_while_nobody_migrates_is_told_in_the_database_s_words(site):
    for step in (("auth",), ("profiles", "0002")):
        assert site.manage("migrate", *step)[0] == 0
    code, output = site.python("-c", setup(ENSURE), **JOB, **USER)
    assert code == 1 and "; migrations are pending, which may be the reason (nothing was migrated for " in output, (
        output
    )
    said = output.rpartition("CommandError: ")[2]
    assert "IntegrityError" in said and "shape" in said, said
    assert attempts(site) == 2
    assert users(site).rstrip().endswith("users: []")


HOLD = """
import sys
from django.db import connections
from django_operator_tasks.locks import migration_lock
with migration_lock(connections["default"], 1000, None, print):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_who_holds_the_lock_migrates(site):
    """It goes on for longer than without anybody."""
    with site.start(
        "-c",
        setup("import os, sys; sys.stdin = os.fdopen(os.open(os.environ['FIFO'], os.O_RDWR))\n" + HOLD),
        FIFO=fifo(site),
    ) as holder:
        output_until(holder, "held")
        with site.start("-c", setup(ENSURE), **JOB, **USER) as process:
            said = output_until(process, "; the migration lock is held by ")
            assert "waiting for the migrations of auth" in said
            eventually_longer_than(process, 4)
            with open(site.tmp_path / "fifo", "w") as pipe:
                pipe.write("\n")
            code, output = finish(process)
        assert finish(holder)[0] == 0
    assert (
        code == 1 and "the database is not migrated for auth.User" in output and "nobody is known to hold" in output
    ), output


def eventually_longer_than(process, seconds):
    import subprocess

    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)


def fifo(site):
    import os

    path = site.tmp_path / "fifo"
    os.mkfifo(path)
    return str(path)


def setup(code):
    return (
        "import os; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings'); import django; django.setup()\n"
        + code
    )


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            {"DJANGO_ADMIN_ATTRIBUTES": '{"nickname": "a"}'},
            "spec.attributes.nickname: User has no field named 'nickname'",
        ),
        ({"DJANGO_ADMIN_PASSWORD": "1234"}, "the password is refused by AUTH_PASSWORD_VALIDATORS: "),
    ],
)
def test_what_the_model_alone_tells_fails_before_any_wait(site, env, said):
    name = "django.contrib.auth.password_validation.MinimumLengthValidator"
    site.settings["AUTH_PASSWORD_VALIDATORS"] = [{"NAME": name}]
    code, output = site.manage("ensureadmin", **JOB, **{**USER, **env})
    assert code == 1 and said in output and "waiting for" not in output, output


def test_an_existing_user_is_judged_by_the_database_alone(site):
    """What a new user would lack, they have; and what the validators say of an unchanged password is no matter."""
    assert site.manage("migrate")[0] == 0
    assert site.manage("ensureadmin", **{**USER, "DJANGO_ADMIN_PASSWORD": "1234"})[0] == 0
    name = "django.contrib.auth.password_validation.MinimumLengthValidator"
    site.settings["AUTH_PASSWORD_VALIDATORS"] = [{"NAME": name}]
    for policy in ("always", "on-create"):
        env = {**USER, "DJANGO_ADMIN_PASSWORD": "1234", "DJANGO_ADMIN_PASSWORD_POLICY": policy}
        code, output = site.manage("ensureadmin", "--update", **JOB, **env)
        assert code == 0 and "user ann unchanged" in output, output


def test_a_missing_table_that_no_migration_brings_fails_at_once(site):
    assert site.manage("migrate")[0] == 0
    sql(site.settings["DATABASES"]["default"], "DROP TABLE profiles_profile")
    code, output = site.manage("ensureadmin", **JOB, **USER)
    assert code == 1 and "waiting for" not in output and "profiles_profile" in output, output
