"""What a server's module says of where its project is imported from, and a manage.py that lies beside it."""

import pytest
from layouts import MANAGE, SETTINGS, WSGI, chosen

BESIDE = "import os, sys\nsys.path.append(os.path.dirname(os.path.abspath(__file__)))\n"
OWN = "settings site_settings, which shop.wsgi sets, loaded by gunicorn"


# Ways in which a server's module makes settings importable that its own directory does not have.
ADDS_TO_PATH = {
    "appended": "sys.path.append('{root}/etc')\n",
    "inserted": "sys.path.insert(0, '{root}/etc')\n",
    "added": "sys.path += ['{root}/etc']\n",
    "put in front": "sys.path[:0] = ['{root}/etc']\n",
    "begun anew": "sys.path = ['{root}/etc'] + sys.path\n",
    "of a site": "import site\nsite.addsitedir('{root}/etc')\n",
    "found by importing": "from .boot import prepare\nprepare()\n",
    "though its output is not its own": "sys.stdout = sys.stderr\nprint('1')\nsys.path.append('{root}/etc')\n",
}


@pytest.fixture
def elsewhere(image):
    """A project whose settings lie in a directory that only its server's module knows."""

    def write(adds):
        image.write("etc/site_settings.py", SETTINGS)
        image.write("app/shop/__init__.py")
        image.write("app/shop/boot.py", "import sys\ndef prepare():\n    sys.path.insert(0, '{root}/etc')\n")
        image.write("app/shop/wsgi.py", "import sys\n" + adds + WSGI % "site_settings")
        return image

    return write


@pytest.mark.parametrize("name", ADDS_TO_PATH)
def test_settings_that_are_imported_from_where_the_module_of_the_server_says(elsewhere, name):
    line = elsewhere(ADDS_TO_PATH[name]).run("gunicorn", "shop.wsgi:application")
    assert chosen(line) == (OWN, "site_settings")


def test_they_are_imported_from_there_however_they_are_named(elsewhere):
    image = elsewhere(ADDS_TO_PATH["appended"])
    variable = {"DJANGO_SETTINGS_MODULE": "site_settings"}
    for command, variables, how in (
        (["gunicorn", "shop.wsgi"], variable, ["--discover"]),
        (["gunicorn", "shop.wsgi"], variable, ["--module", "django"]),
        (["env", "DJANGO_SETTINGS_MODULE=site_settings", "gunicorn", "shop.wsgi"], {}, ["--discover"]),
        (["gunicorn", "shop.wsgi"], {}, ["--module", "django", "--settings", "site_settings"]),
    ):
        line = image.run(*command, how=how, **variables)
        assert line.code == 0 and line.settings == "site_settings", line


def test_the_celery_application_says_so_too(image):
    image.write("etc/site_settings.py", SETTINGS)
    image.write("app/shop/__init__.py")
    image.write("app/shop/celery.py", "import sys\nsys.path.append('{root}/etc')\n" + WSGI % "site_settings")
    line = image.run("celery", "-A", "shop", "worker")
    assert chosen(line) == ("settings site_settings, which shop sets, loaded by celery", "site_settings")


SHADOWS = {
    "in front of all": "sys.path.insert(0, '{root}/etc')\n",
    "begun anew": "sys.path = ['{root}/etc'] + sys.path\n",
}


@pytest.mark.parametrize("name", SHADOWS)
def test_what_is_put_in_front_is_in_front(image, name):
    """Such as the settings of one site, which have the name of those in the image."""
    image.write("app/settings.py", "raise ValueError('the wrong ones')\n")
    image.write("etc/settings.py", SETTINGS)
    image.write("app/shop/__init__.py")
    image.write("app/shop/wsgi.py", "import sys\n" + SHADOWS[name] + WSGI % "settings")
    for how in (["--discover"], ["--module", "django", "--settings", "settings"]):
        line = image.run("gunicorn", "shop.wsgi", how=how)
        assert line.code == 0 and line.settings == "settings", line


def test_what_is_put_between_the_project_s_directories_and_python_s_own_is_there(image):
    image.write("app/vendor/colorsys.py", "ours = 1\n")
    image.write("app/settings.py", SETTINGS + "import colorsys\ncolorsys.ours\n")
    image.write("app/vendor/settings.py", "raise ValueError('the wrong ones')\n")
    image.write("app/shop/__init__.py")
    image.write("app/shop/wsgi.py", "import sys\nsys.path.insert(1, '{root}/app/vendor')\n" + WSGI % "settings")
    assert chosen(image.run("gunicorn", "shop.wsgi"))[1] == "settings"


def test_two_servers_of_which_the_second_knows_where_the_settings_lie(elsewhere):
    image = elsewhere(ADDS_TO_PATH["appended"])
    image.write("app/other/__init__.py")
    image.write("app/other/wsgi.py", "import sys\nsys.path.append('{root}/nothing')\n" + WSGI % "site_settings")
    line = image.run("sh", "-c", "gunicorn other.wsgi & gunicorn shop.wsgi")
    assert line.code == 0 and line.settings == "site_settings", line


@pytest.mark.parametrize("command", [["uwsgi", "--wsgi-file"], ["mod_wsgi-express", "start-server"]])
def test_a_file_that_a_server_loads_says_so_too(image, command):
    image.write("srv/site_settings.py", SETTINGS)
    image.write("deploy/wsgi.py", "import sys\nsys.path.append('{root}/srv')\n" + WSGI % "site_settings")
    line = image.run(*command, "{root}/deploy/wsgi.py")
    assert line.code == 0 and line.settings == "site_settings", line


def test_what_a_module_s_children_print_is_their_affair(elsewhere):
    late = "import subprocess\nsubprocess.Popen(['sh', '-c', 'sleep 1; echo late'])\n"
    line = elsewhere(late + ADDS_TO_PATH["appended"]).run("gunicorn", "shop.wsgi")
    assert chosen(line) == (OWN, "site_settings")


def test_what_is_added_last_hides_nothing(image):
    """As where a module called like an installed package lies beside the server's."""
    image.write("app/shop/__init__.py")
    image.write("app/shop/settings.py", SETTINGS + "import colorsys\ncolorsys.hls_to_rgb\nimport beside\n")
    image.write("app/shop/colorsys.py", "")
    image.write("app/shop/beside.py", "")
    image.write("app/shop/wsgi.py", BESIDE + WSGI % "shop.settings")
    line = image.run("gunicorn", "shop.wsgi")
    assert chosen(line) == ("settings shop.settings, which shop.wsgi sets, loaded by gunicorn", "shop.settings")


def test_a_module_that_only_reads_the_import_path_is_not_imported(image):
    image.package("app/shop")
    image.write("app/shop/wsgi.py", "import sys\nprint(sys.path)\nopen('imported', 'w')\n" + WSGI % "shop.settings")
    assert chosen(image.run("gunicorn", "shop.wsgi"))[1] == "shop.settings"
    assert not (image.root / "app/imported").exists()


def test_a_module_that_says_nothing_when_it_is_imported(image):
    image.package("app/shop")
    image.write("app/shop/wsgi.py", "import os\nos.write(1, b'1')\nos._exit(0)\n")
    line = image.run("gunicorn", "shop.wsgi")
    assert line.reason == "ManageNotFound" and "shop.wsgi, which gunicorn loads, sets no settings" in line.message


def test_what_it_sets_when_it_is_imported_goes_before_what_its_source_names(elsewhere):
    image = elsewhere(
        "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'prod_' + 'settings'\nsys.path.append('{root}/etc')\n"
    )
    image.write("etc/prod_settings.py", SETTINGS)
    assert chosen(image.run("gunicorn", "shop.wsgi"))[1] == "prod_settings"


# As Mailman's web interface has it: started as a file, it would take `settings` for the package beside it.
PACKAGED_MANAGE = """
import os, sys
def main():
    if "help" in sys.argv:
        os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    else:
        sys.path.append("{root}/etc")
        os.environ["DJANGO_SETTINGS_MODULE"] = os.path.basename("{root}/etc/settings")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
if __name__ == "__main__":
    main()
"""


def test_a_manage_py_among_the_modules_of_a_package_starts_as_a_module(image):
    python = image.environment("venv")
    packages = image.distribution("venv", "shop", {"shop-web": "shop.manage:main"})
    image.write("etc/settings.py", SETTINGS)
    image.write(f"{packages}/shop/__init__.py")
    image.write(f"{packages}/shop/settings/__init__.py")
    image.write(f"{packages}/shop/manage.py", PACKAGED_MANAGE)
    image.write(f"{packages}/shop/wsgi.py", "from shop.manage import main\n")
    line = image.run("gunicorn", "shop.wsgi", PATH="{root}/venv/bin:/usr/bin:/bin", python=python)
    assert chosen(line) == ("the module shop.manage, from where gunicorn loads shop.wsgi", "settings")


CHOOSES = MANAGE.replace('"%s"', '"settings.test" if "test" in sys.argv else "settings.prod"')
SETS_NOTHING = MANAGE.replace('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "%s")', "pass")
# Such as work as files alone: the command, manage.py, the source of the server's module, more files, and variables.
FILES = {
    "settings beside it": (["gunicorn", "shop.wsgi"], MANAGE % "settings", WSGI % "settings", {}, {}),
    "a choice of settings": (
        ["gunicorn", "shop.wsgi"],
        CHOOSES,
        BESIDE + WSGI % "settings.prod",
        {"settings/prod.py": SETTINGS},
        {},
    ),
    "settings by the variable": (
        ["gunicorn", "shop.wsgi"],
        SETS_NOTHING,
        BESIDE + WSGI % "settings",
        {},
        {"DJANGO_SETTINGS_MODULE": "settings"},
    ),
    "applications beside it": (
        ["gunicorn", "shop.wsgi"],
        MANAGE % "shop.settings",
        BESIDE + WSGI % "shop.settings",
        {"settings.py": SETTINGS.replace("[]", "['accounts']"), "accounts/__init__.py": ""},
        {},
    ),
    "a package of its name": (
        ["gunicorn", "shop.wsgi"],
        MANAGE % "shop.settings",
        WSGI % "shop.settings",
        {"manage/__init__.py": ""},
        {},
    ),
    "a neighbour": (
        ["gunicorn", "shop.wsgi"],
        "import environment\n" + MANAGE % "shop.settings",
        WSGI % "shop.settings",
        {"environment.py": ""},
        {},
    ),
    "uWSGI's file": (
        ["uwsgi", "--wsgi-file", "shop/wsgi.py"],
        MANAGE % "shop.settings",
        WSGI % "shop.settings",
        {},
        {},
    ),
    "Apache's file": (
        ["mod_wsgi-express", "start-server", "{root}/app/shop/wsgi.py"],
        MANAGE % "shop.settings",
        WSGI % "shop.settings",
        {},
        {},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_manage_py_that_works_as_a_file_starts_as_a_file(image, name):
    command, manage, wsgi, files, variables = FILES[name]
    image.write("app/shop/__init__.py")
    image.write("app/shop/manage.py", manage)
    image.write("app/shop/wsgi.py", wsgi)
    for path, text in {"settings.py": SETTINGS, **files}.items():
        if not (path == "settings.py" and "settings/prod.py" in files):
            image.write(f"app/shop/{path}", text)
    if "settings/prod.py" in files:
        image.write("app/shop/settings/__init__.py")
    started, _ = chosen(image.run(*command, **variables))
    assert started.startswith("manage.py of /app/shop, from where "), started
