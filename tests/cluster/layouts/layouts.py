"""Django projects as people lay them out in images, without a word about the operator: what `images layouts` writes
below /layouts, and what tests expect of each.

    layouts.py DIRECTORY
"""

import sys
from pathlib import Path
from typing import NamedTuple

PYTHON = "/usr/bin/python3"
SITE = "/opt/site"
MANAGE = """import os, sys
if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "%s.settings")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
WSGI = """import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "%s.settings")
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
IMPORTED = """from .boot import prepare
prepare()
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
SETTINGS = """import os
SECRET_KEY = os.environ["SECRET_KEY"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.staticfiles", "%s"]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "HOST": os.environ["DATABASE_HOST"], "USER": "myapp",
    "NAME": os.environ["DATABASE_NAME"], "PASSWORD": os.environ["DATABASE_PASSWORD"],
}}
STATIC_URL, STATIC_ROOT = "/static/", "/srv/static/" + os.environ["DATABASE_NAME"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CELERY_BROKER_URL = "redis://redis:6379/0"
"""
MIGRATION = """from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True))])]
"""
CELERY = """import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "%s.settings")
from celery import Celery
app = Celery("%s")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""
MAIN = """import os, sys
def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "%s.settings")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
if __name__ == "__main__":
    main()
"""


class Layout(NamedTuple):
    """A target, as its owner has it, and what is to be chosen there."""

    command: tuple = ()  # of the container, if the template has one
    directory: str = "app"  # where it works, below that of the layout
    started: str = ""  # how the report begins
    python: str = "venv/bin/python"  # by which interpreter
    env: dict = {}
    args: tuple = ()
    annotations: dict = {}
    files: dict = {}  # beside the project
    project: str = "app"  # where it lies
    manage: bool = True  # whether it has a manage.py
    wsgi: str = WSGI
    venv: str = "venv"
    on_path: bool = True  # whether the environment's programs are
    reason: str = ""  # of the failure, if it is to fail
    says: tuple = ()


PROGRAM = {"shopctl": "shop.__main__:main"}
WORKING = "manage.py of the working directory /layouts/{name}/app"
LAYOUTS = {
    "manage": Layout(("gunicorn", "shop.wsgi"), started=WORKING),
    "chdir": Layout(
        ("gunicorn", "-b", "0.0.0.0:80", "--chdir", "src", "shop.wsgi:application"),
        project="app/src",
        started="manage.py of /layouts/{name}/app/src, which the command names",
    ),
    "pythonpath": Layout(
        ("waitress-serve", "shop.wsgi:application"),
        project="src",
        env={"PYTHONPATH": "/layouts/{name}/src"},
        started="manage.py of /layouts/{name}/src, which the command names",
    ),
    "parent": Layout(
        ("gunicorn", "elsewhere.wsgi"),
        directory="app/deploy/web",
        started="manage.py of /layouts/{name}/app, above the working directory",
    ),
    "shell": Layout(
        ("/bin/sh", "-ec", "cd src && exec gunicorn --workers ${WORKERS:-2} shop.wsgi"),
        project="app/src",
        started="manage.py of /layouts/{name}/app/src, ",
    ),
    "script": Layout(
        ("/layouts/{name}/start.sh", "gunicorn", "shop.wsgi"),
        project="srv",
        files={"start.sh": '#!/bin/sh\nset -e\n# starts the server\ncd /layouts/{name}/srv\nexec "$@"\n'},
        started="manage.py of /layouts/{name}/srv, ",
    ),
    "imported": Layout(
        ("uvicorn", "shop.asgi:application"),
        project="venv/lib/python3.11/site-packages",
        started="manage.py of /layouts/{name}/venv/lib/python3.11/site-packages, from where uvicorn loads shop.asgi",
    ),
    "variable": Layout(
        ("hypercorn", "shop.asgi:application"),
        manage=False,
        env={"DJANGO_SETTINGS_MODULE": "shop.settings"},
        started="settings shop.settings, by the variable DJANGO_SETTINGS_MODULE",
    ),
    "wsgi": Layout(
        ("granian", "--interface", "wsgi", "shop.wsgi:application"),
        manage=False,
        started="settings shop.settings, which shop.wsgi sets, loaded by granian",
    ),
    "asgi": Layout(
        ("daphne", "-b", "0.0.0.0", "shop.asgi:application"),
        manage=False,
        started="settings shop.settings, which shop.asgi sets, loaded by daphne",
    ),
    "wsgi-by-import": Layout(
        ("gunicorn", "shop.wsgi"),
        manage=False,
        wsgi=IMPORTED,
        files={
            "app/shop/boot.py": "import os\ndef prepare():\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop' + '.settings')\n"
        },
        started="settings shop.settings, which shop.wsgi sets, loaded by gunicorn",
    ),
    "gunicorn-config": Layout(
        ("gunicorn",),
        project="srv",
        manage=False,
        files={"app/gunicorn.conf.py": "wsgi_app = 'shop.wsgi'\nchdir = '/layouts/{name}/srv'\n"},
        started="settings shop.settings, which shop.wsgi sets, loaded by gunicorn",
    ),
    "uwsgi": Layout(
        ("uwsgi", "--ini", "uwsgi.ini"),
        project="srv",
        manage=False,
        files={"app/uwsgi.ini": "[uwsgi]\nhttp = :8000\nchdir = /layouts/{name}/srv\nmodule = shop.wsgi:application\n"},
        started="settings shop.settings, which shop.wsgi sets, loaded by uwsgi",
    ),
    "own-program": Layout(
        ("shopctl", "runserver"),
        project="venv/lib/python3.11/site-packages",
        manage=False,
        files=PROGRAM,
        started="the program /layouts/{name}/venv/bin/shopctl, which the command itself runs",
    ),
    "own-module": Layout(
        ("python", "-m", "shop", "runserver"), manage=False, started="the module shop, which the command itself runs"
    ),
    "no-command": Layout(
        project="venv/lib/python3.11/site-packages",
        manage=False,
        files=PROGRAM,
        started="shopctl, the management program of shop",
    ),
    "uv": Layout(
        ("uv", "run", "--no-sync", "gunicorn", "shop.wsgi"),
        venv="app/.venv",
        on_path=False,
        python="app/.venv/bin/python",
        started=WORKING,
    ),
    "poetry": Layout(
        ("poetry", "run", "gunicorn", "shop.wsgi"),
        venv="home/.cache/pypoetry/virtualenvs/shop-aB3-py3.11",
        on_path=False,
        env={"HOME": "/layouts/{name}/home"},
        python="home/.cache/pypoetry/virtualenvs/shop-aB3-py3.11/bin/python",
        started=WORKING,
    ),
    "virtual-env": Layout(
        ("gunicorn", "shop.wsgi"), on_path=False, env={"VIRTUAL_ENV": "/layouts/{name}/venv"}, started=WORKING
    ),
    "beside": Layout(venv="app/venv", on_path=False, python="app/venv/bin/python", started=WORKING),
    "server": Layout(
        ("gunicorn", "shop.wsgi"),
        env={"PATH": "/layouts/{name}/bin:/usr/bin:/bin"},
        on_path=False,
        files={"bin/gunicorn": "#!/layouts/{name}/venv/bin/python\n"},
        started=WORKING,
    ),
    "pyenv": Layout(
        ("gunicorn", "shop.wsgi"),
        venv="home/.pyenv/versions/3.11.9",
        on_path=False,
        env={"HOME": "/layouts/{name}/home"},
        python="home/.pyenv/versions/3.11.9/bin/python",
        started=WORKING,
    ),
    "conda": Layout(
        ("conda", "run", "-n", "shop", "gunicorn", "shop.wsgi"),
        venv="conda/envs/shop",
        on_path=False,
        env={"MAMBA_ROOT_PREFIX": "/layouts/{name}/conda"},
        python="conda/envs/shop/bin/python",
        started=WORKING,
    ),
    "entrypoint-named": Layout(("/layouts/{name}/venv/bin/gunicorn", "shop.wsgi"), on_path=False, started=WORKING),
    "words": Layout(
        ("gunicorn", "nowhere"),
        manage=False,
        annotations={"django.my.domain/manage": "python tool.py manage"},
        files={"app/tool.py": "import sys\nassert sys.argv.pop(1) == 'manage'\n" + MAIN % "shop"},
    ),
}
FAILING = {
    "nothing": Layout(
        ("gunicorn", "nowhere.wsgi"),
        manage=False,
        reason="ManageNotFound",
        says=(
            "no manage.py in the working directory",
            "django.my.domain/manage",
            "such as: /layouts/nothing/venv/bin/python3 ",
        ),
    ),
    "two-programs": Layout(
        project="venv/lib/python3.11/site-packages",
        manage=False,
        files={"shopctl": "shop.__main__:main", "otherctl": "other.__main__:main"},
        reason="ManageAmbiguous",
        says=(
            "/layouts/two-programs/venv/bin/otherctl (other.settings)",
            "/layouts/two-programs/venv/bin/shopctl (shop.settings)",
        ),
    ),
    "no-django": Layout(
        ("gunicorn", "shop.wsgi"),
        venv="elsewhere",
        on_path=False,
        reason="InterpreterWithoutDjango",
        says=("/usr/bin/python3 (started with)", "/path/to/venv/bin/python /layouts/no-django/app/manage.py"),
    ),
    "no-python": Layout(
        ("gunicorn", "shop.wsgi"),
        on_path=False,
        env={"PATH": "/nowhere"},
        reason="InterpreterNotFound",
        says=("django.my.domain/manage",),
    ),
    "entrypoint": Layout(
        on_path=True,
        files={"app/shop/settings.py": "import os\nNAME = os.environ['SHOP_NAME']\n"},
        reason="CommandFailed",
        says=("KeyError", "the image's entrypoint did not run", "django.my.domain/entrypoint: Keep"),
    ),
}


def write(path: Path, text: str, program: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if program else 0o644)


def package(home: Path, name: str, wsgi: str) -> None:
    for path, text in {
        "__init__.py": "",
        "__main__.py": MAIN % name,
        "settings.py": SETTINGS % name,
        "wsgi.py": wsgi % name if "%s" in wsgi else wsgi,
        "asgi.py": (WSGI % name).replace("wsgi", "asgi"),
        "celery.py": CELERY % (name, name),
        "migrations/__init__.py": "",
        "migrations/0001_initial.py": MIGRATION,
        "static/%s/style.css" % name: "body {}\n",
    }.items():
        write(home / name / path, text)


def environment(home: Path) -> None:
    """A virtual environment of the image's Python; it has what is in SITE."""
    (home / "bin").mkdir(parents=True)
    (home / "bin/python").symlink_to(PYTHON)
    (home / "bin/python3").symlink_to(PYTHON)
    write(home / "pyvenv.cfg", "home = /usr/bin\n")
    write(home / "lib/python3.11/site-packages/all.pth", SITE + "\n")


def write_layout(root: Path, name: str, layout: Layout) -> None:
    home = root / name
    environment(home / layout.venv)
    project = home / layout.project
    package(project, "shop", layout.wsgi)
    if layout.manage:
        write(project / "manage.py", MANAGE % "shop")
    (home / layout.directory).mkdir(parents=True, exist_ok=True)
    for path, text in layout.files.items():
        if ":" in text and "/" not in path:  # a console script, and its entry point
            install(home / layout.venv, "/layouts/%s/%s" % (name, layout.venv), path, text)
            if not text.startswith("shop"):
                package(project, text.partition(".")[0], WSGI)
        else:
            write(home / path, text.replace("{name}", name), program=text.startswith("#!"))


def install(environment: Path, place: str, script: str, entry: str) -> None:
    module, _, function = entry.partition(":")
    package = module.partition(".")[0]
    info = environment / "lib/python3.11/site-packages" / (package + "-1.0.dist-info")
    write(info / "METADATA", "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\nRequires-Dist: Django\n" % package)
    write(info / "entry_points.txt", "[console_scripts]\n%s = %s\n" % (script, entry))
    text = "#!%s/bin/python\nimport sys\nfrom %s import %s\nsys.exit(%s())\n" % (place, module, function, function)
    write(environment / "bin" / script, text, program=True)


if __name__ == "__main__":
    for name, layout in {**LAYOUTS, **FAILING}.items():
        write_layout(Path(sys.argv[1]), name, layout)
