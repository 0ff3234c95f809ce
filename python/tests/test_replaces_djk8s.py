"""A project that was written for djk8s, with the real djk8s and with this package after the rename: the same
answers, and every option of the one is an option of the other."""

import json
import shutil

import pytest
from conftest import PROJECTS, ROOT, SOURCE, Site, sql

DJK8S = ROOT / "python/djk8s/src"

# Where the older program is wrong or waits for ever; each with what ours does instead.
ADMIN = {
    "DJANGO_ADMIN_USERNAME": "ann",
    "DJANGO_ADMIN_PASSWORD": "long-enough-1",
    "DJANGO_ADMIN_EMAIL": "a@example.com",
}


BY_ANOTHER = "djk8s of another distribution"


def site(name, tmp_path):
    """The project; renamed by nothing but the package's name, or not at all."""
    path = tmp_path / name
    shutil.copytree(PROJECTS / "legacy", path, ignore=shutil.ignore_patterns("__pycache__"))
    for file in path.rglob("*.py"):
        file.write_text(file.read_text().replace("djk8s", name if name != BY_ANOTHER else "djk8s"))
    (tmp_path / "data" / name).mkdir(parents=True)
    made = Site(path, tmp_path / "data" / name)
    if name == BY_ANOTHER:
        made.env["PYTHONPATH"] = "%s:%s" % (DJK8S, SOURCE)
    return made


@pytest.fixture(params=["django_operator_tasks", BY_ANOTHER])
def both(request, tmp_path):
    return [site(name, tmp_path) for name in ("djk8s", request.param)]


def same(both, look):
    old, new = (look(each) for each in both)
    assert new == old
    return new


def answers(site, **env):
    code, output = site.python("answers.py", **env)
    assert code == 0, output
    return json.loads(output.splitlines()[-1])


@pytest.mark.parametrize(
    "env", [{}, {"NOT_READY": "503"}, {"NOT_READY": "418"}, {"DATABASE_FILE": "/nonexistent/db"}], ids=str
)
def test_the_same_answers_by_http(both, env):
    found = same(both, lambda site: answers(site, **env)["answers"])
    assert found["get False 10.0.0.1 /livez"] == [200, "text/plain", "Ok", None]
    ready = found["get False 10.0.0.1 /internal/ready"]
    assert ready[0] == int(env.get("NOT_READY", 503 if env else 200))
    assert found["get True shop.example.com /ready"] == ready
    assert same(both, lambda site: answers(site)["names"])["readiness-probe"] == "/views/readyz"


def test_the_same_answers_while_memcached_is_away(both):
    for each in both:
        each.settings["CACHES"] = {
            "default": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": "127.0.0.1:1"}
        }
    found = same(both, lambda site: answers(site)["answers"])
    assert found["get False 10.0.0.1 /readyz"] == [503, "text/plain", "cache: could not connect to cache", None]


def test_every_option_is_there_with_the_same_meaning(both):
    old, new = (answers(each)["commands"] for each in both)
    for command, options in old.items():
        for option, about in options.items():
            names = set(option.split("/"))
            ours = next(each for given, each in new[command].items() if names <= set(given.split("/")))
            if command == "lockedmigrate" and option == "-L/--lock-id":
                about = {**about, "dest": "migration_lock_id"}  # as a project's own `migrate` may have one; see below
            if command in ("ensureadmin",) and option[:2] in ("-u", "-p", "-e"):
                about = {**about, "default": None}  # read when it runs, not when it is imported
            if (command, ours["dest"]) in (("lockedmigrate", "database"), ("wait4db", "database")):
                about = {**about, "default": None}  # may be given several times; the default follows from none
            told, ours["help"] = about.pop("help"), ours["help"] or ""
            assert {k: ours[k] for k in about} == about, (command, option)
            assert ours["help"].startswith((told or "").rstrip(". ")), (command, option)


@pytest.mark.parametrize(
    ("argv", "env"),
    [
        (["probe", "--live"], {}),
        (["probe", "-H"], {}),
        (["probe", "-R"], {}),
        (["probe", "-R", "-q"], {}),
        (["probe", "--ready"], {"NOT_READY": "503"}),
        (["probe", "--ready", "-q"], {"NOT_READY": "503"}),
        (["probe"], {}),
        (["probe", "-L", "-R"], {}),
        (["probe", "-L", "-H", "--skip-checks"], {}),
        (["probe", "--nope"], {}),
        (["wait4db", "-t", "0"], {}),
        (["wait4db", "-s", "-1"], {}),
        (["wait4db", "-i", "0"], {}),
        (["wait4db", "--nope"], {}),
        (["ensureadmin"], {}),
        (["ensureadmin", "-u", "ann"], {}),
        (["ensureadmin", "-p", "secret"], {}),
        (["ensureadmin", "-d", "nope"], {}),
    ],
    ids=str,
)
def test_the_same_exit_codes(both, argv, env):
    def look(site):
        code, output = site.manage(*argv, **env)
        # What a probe says is read by people and programs; words about a wrong command line are not.
        return code, output if (argv[0] == "probe" and code == 0) or env else ""

    same(both, look)


def test_the_same_work(both, databases):
    """From an empty database to a superuser, and nothing the second time."""
    for each, database in zip(both, ("old", "new")):
        each.settings["DATABASES"] = {"default": databases("postgresql", "legacy_" + database)}

    def look(site):
        database = site.settings["DATABASES"]["default"]
        codes = [site.manage("wait4db", "-s", "1", "-t", "60", *([] if site is both[0] else ["--ready-only"]))[0]]
        codes += [site.manage("lockedmigrate", "--noinput")[0], site.manage("wait4db", "-s", "1")[0]]
        codes += [site.manage("ensureadmin", **ADMIN)[0]]
        codes += [site.manage("ensureadmin", **{**ADMIN, "DJANGO_ADMIN_EMAIL": "other@example.com"})[0]]
        codes += [site.manage("lockedmigrate", "--check")[0], site.manage("lockedmigrate", "auth", "zero", "--plan")[0]]
        return (
            codes,
            sql(database, "SELECT username, email, is_superuser, is_staff, is_active FROM auth_user"),
            sql(database, "SELECT app, name FROM django_migrations ORDER BY id"),
        )

    codes, users, migrations = same(both, look)
    assert codes == [0] * 7 and users == [("ann", "a@example.com", True, True, True)] and migrations


# What is read when it runs here, and not when it is imported; and names of others that a module imports.
READ_AT_IMPORT = {"DJANGO_ADMIN_USERNAME", "DJANGO_ADMIN_PASSWORD", "DJANGO_ADMIN_EMAIL"}
READ_AT_IMPORT |= {"DEFAULT_DB_ALIAS", "os", "sys", "abc", "logging", "connections", "time", "sleep", "Sequence"}
MODULES = ["apps", "conf", "middleware", "probes", "urls", "views"]
MODULES += ["management.commands." + name for name in ("ensureadmin", "lockedmigrate", "probe", "wait4db")]


@pytest.mark.parametrize("module", MODULES)
def test_every_name_can_be_imported(both, module):
    """Of what djk8s itself has; what it imports from elsewhere is that of others."""
    look = (
        "import importlib, json\n"
        "module = importlib.import_module('%s.%s')\n"
        "names = [n for n, each in vars(module).items() if not n.startswith('_')"
        " and getattr(each, '__module__', module.__name__) == module.__name__ and not hasattr(each, '__path__')]\n"
        "settings = [n for n in dir(getattr(module, 'AppSettings', None)) if n.startswith('DJK8S_')]\n"
        "print(json.dumps([names, settings]))\n"
    )
    old, new = both
    names, settings = json.loads(old.script(look % ("djk8s", module), DJANGO_SETTINGS_MODULE="legacy.settings"))
    package = "djk8s" if new.env else "django_operator_tasks"
    ask = "import importlib\nmodule = importlib.import_module('%s.%s')\n" % (package, module)
    ask += "print([n for n in %r if not hasattr(module, n)])\n" % [n for n in names if n not in READ_AT_IMPORT]
    ask += "print([n for n in %r if not hasattr(module.AppSettings, n)])\n" % settings
    assert new.script(ask, DJANGO_SETTINGS_MODULE="legacy.settings").split("\n")[:2] == ["[]", "[]"], names


def test_the_number_of_the_lock_has_the_same_name_for_callers(both, databases):
    for each, database in zip(both, ("old", "new")):
        each.settings["DATABASES"] = {"default": databases("postgresql", "legacy_call_" + database)}
    code = """
from django.core.management import call_command
from django.db.backends.signals import connection_created
from django.db.models.signals import pre_migrate
from django.db import connection
def look(**_):
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT objid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1")
        print("held", cursor.fetchall())
pre_migrate.connect(look)
call_command("lockedmigrate", "auth", lock_id=77, verbosity=0)
"""
    assert same(
        both, lambda site: "held [(77,)]" in site.script(code, DJANGO_SETTINGS_MODULE="legacy.settings").splitlines()
    )


@pytest.mark.parametrize("empty", ["DJK8S_READINESS_PROBES", "both paths"])
def test_settings_that_leave_nothing_are_refused(both, empty):
    for each in both:
        each.settings.update(
            {empty: []}
            if empty != "both paths"
            else {
                "DJK8S_READY_PATHS": [],
                "DJK8S_HEALTH_PATHS": [],
            }
        )
        code, output = each.python("answers.py")
        assert code == 1 and "ImproperlyConfigured" in output
