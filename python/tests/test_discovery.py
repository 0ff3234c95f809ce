"""How a project starts, found without being told: in images of many layouts, by the label alone."""

import sys

import pytest
from conftest import SOURCE
from layouts import MANAGE, SETTINGS, WSGI, chosen

sys.path.insert(0, str(SOURCE))


def test_manage_py_of_the_working_directory_comes_first(image):
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    image.write("app/src/manage.py", MANAGE % "nowhere")
    line = image.run("gunicorn", "--chdir", "src", "shop.wsgi")
    assert chosen(line) == ("manage.py of the working directory /app", "shop.settings")


SHELL_LINE = 'set -e; cd "$HOME/../app/src" && exec gunicorn --bind "0.0.0.0:${PORT:-8000}" shop.wsgi:application'
COMMANDS = {
    "gunicorn": ["gunicorn", "-b", "0.0.0.0:80", "-w", "3", "--pythonpath", "src", "shop.wsgi:application"],
    "gunicorn, a bare module": ["gunicorn", "--chdir", "src", "--reload", "shop.wsgi"],
    "gunicorn's worker class is no application": ["gunicorn", "-k", "x.y:Z", "--chdir=src", "shop.asgi:application"],
    "uvicorn": ["uvicorn", "--app-dir", "src", "--factory", "shop.asgi:application"],
    "hypercorn": ["sh", "-c", "cd src; hypercorn shop.asgi:application"],
    "granian": ["granian", "--interface", "wsgi", "--working-dir", "src", "shop.wsgi:application"],
    "daphne": ["env", "PYTHONPATH={root}/app/src", "daphne", "-p", "80", "shop.asgi:application"],
    "waitress": ["env", "-C", "src", "waitress-serve", "--port=80", "shop.wsgi:application"],
    "uwsgi": ["uwsgi", "--http-socket", ":80", "--module", "shop.wsgi:application", "--chdir", "src"],
    "celery": ["celery", "-A", "shop", "--workdir", "src", "worker"],
    "python -m": ["python", "-m", "gunicorn", "--chdir", "src", "shop.wsgi"],
    "a script of the server": ["python", "-u", "/venv/bin/gunicorn", "--chdir", "src", "shop.wsgi"],
    "tini": ["/usr/bin/tini", "-g", "--", "gunicorn", "--chdir", "src", "shop.wsgi"],
    "a shell": ["/bin/sh", "-ec", SHELL_LINE],
    "migrate first": ["bash", "-c", "python src/manage.py migrate && gunicorn --chdir src shop.wsgi"],
    "the kubelet's references": ["sh", "-c", "cd $(SOURCE); exec gunicorn shop.wsgi"],
    "timeout": [
        "timeout",
        "-k",
        "5",
        "10",
        "gosu",
        "app",
        "nice",
        "-n",
        "5",
        "gunicorn",
        "--chdir",
        "src",
        "shop.wsgi",
    ],
    "a script": ["{root}/start.sh", "gunicorn", "shop.wsgi"],
    "wait-for-it": ["{root}/wait-for-it.sh", "db:5432", "--", "gunicorn", "--chdir", "src", "shop.wsgi"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_manage_py_where_the_command_works_or_imports_from(image, name):
    image.write("app/src/manage.py", MANAGE % "shop.settings")
    image.package("app/src/shop")
    image.write(
        "start.sh",
        '#!/bin/bash\n# starts it\nset -- "$@" --workers 2\nif true; then\n  cd src\nfi\nexec "$@"\n',
        program=True,
    )
    image.write(
        "wait-for-it.sh", '#!/usr/bin/env bash\nwhile ! nc -z "$1"; do sleep 1; done\nexec "${CLI[@]}"\n', program=True
    )
    started, settings = chosen(image.run(*COMMANDS[name], SOURCE="src"))
    assert started.startswith("manage.py of /app/src, ") and settings == "shop.settings"


SETTINGS_COMMANDS = {
    "a prefix": ["sh", "-c", "DJANGO_SETTINGS_MODULE=shop.settings gunicorn shop.wsgi"],
    "an export": ["sh", "-c", "export DJANGO_SETTINGS_MODULE='shop.settings'\nexec gunicorn shop.wsgi"],
    "env": ["env", "DJANGO_SETTINGS_MODULE=shop.settings", "gunicorn", "shop.wsgi"],
    "an option of gunicorn": ["gunicorn", "-e", "DJANGO_SETTINGS_MODULE=shop.settings", "shop.wsgi"],
    "an option of uwsgi": ["uwsgi", "--env", "DJANGO_SETTINGS_MODULE=shop.settings", "--module", "shop.wsgi"],
    "django-admin": ["django-admin", "runserver", "--settings", "shop.settings"],
    "python -m django": ["python", "-m", "django", "runserver", "--settings=shop.settings"],
}


@pytest.mark.parametrize("name", SETTINGS_COMMANDS)
def test_manage_py_with_the_settings_that_the_command_sets(image, name):
    image.write("app/manage.py", MANAGE % "shop.dev")
    image.package("app/shop", "shop.dev")
    started, settings = chosen(image.run(*SETTINGS_COMMANDS[name]))
    assert started.endswith(", with the settings that the command sets") and settings == "shop.settings"


def test_manage_py_and_the_server_with_other_settings_are_both_named(image):
    """As templates of projects have it: one for development, one for production."""
    image.write("app/manage.py", MANAGE % "shop.dev")
    image.package("app/shop")
    line = image.run("gunicorn", "shop.wsgi")
    assert line.reason == "ManageAmbiguous"
    python = "python3 /app/manage.py"
    assert f"{python} (shop.dev); " in line.message and "DJANGO_SETTINGS_MODULE=shop.settings /" in line.message
    assert f"{python} (shop.settings)" in line.message
    assert image.run("gunicorn", "shop.wsgi", DJANGO_SETTINGS_MODULE="shop.settings").settings == "shop.settings"
    line = image.run("gunicorn", "shop.wsgi", how=("--script", "manage.py", "--settings=shop.settings"))
    assert line.code == 0 and line.settings == "shop.settings"


def test_manage_py_above_the_working_directory(image):
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    line = image.run("gunicorn", "elsewhere.wsgi", cwd="app/deploy/web")
    assert chosen(line) == ("manage.py of /app, above the working directory", "shop.settings")


def test_the_variable_that_names_the_settings(image):
    image.package("app/shop")
    line = image.run("gunicorn", "shop.wsgi", DJANGO_SETTINGS_MODULE="shop.settings")
    assert chosen(line) == ("settings shop.settings, by the variable DJANGO_SETTINGS_MODULE", "shop.settings")


@pytest.mark.parametrize("name", SETTINGS_COMMANDS)
def test_settings_that_the_command_sets(image, name):
    image.package("app/shop", "shop.others")
    line = image.run(*SETTINGS_COMMANDS[name])
    assert chosen(line) == ("settings shop.settings, which the command sets", "shop.settings")


MODULES = {
    "setdefault": WSGI % "shop.settings",
    "an assignment": "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'\n",
    "found by importing": "from .boot import prepare\nprint('noise')\nprepare()\n",
    "found by importing, and then it fails": "from .boot import prepare\nprepare()\nraise RuntimeError('no database')\n",
    "one of two, found by importing": "import os\nif 0:\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.other')\nelse:\n"
    "    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
}


@pytest.mark.parametrize("name", MODULES)
def test_settings_that_the_module_of_the_server_sets(image, name):
    image.package("app/shop")
    image.write("app/shop/wsgi.py", MODULES[name])
    image.write(
        "app/shop/boot.py",
        "import os\ndef prepare():\n    os.environ['DJANGO_SETTINGS_MODULE'] = 'shop' + '.settings'\n",
    )
    line = image.run("gunicorn", "shop.wsgi:application")
    assert chosen(line) == ("settings shop.settings, which shop.wsgi sets, loaded by gunicorn", "shop.settings")


def test_settings_that_the_celery_application_sets(image):
    image.package("app/shop", wsgi=False)
    image.write("app/shop/celery.py", "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n")
    line = image.run("celery", "--app=shop", "worker", "-l", "info")
    assert chosen(line) == ("settings shop.settings, which shop sets, loaded by celery", "shop.settings")


CONFIGS = {
    "gunicorn.conf.py": ("wsgi_app = 'shop.wsgi:application'\nchdir = '{root}/srv'\n", ["gunicorn"]),
    "conf/web.py": ("chdir: str = '{root}/srv'\n", ["gunicorn", "-c", "conf/web.py", "shop.wsgi"]),
    "conf/env.py": (
        "raw_env = ['A=b', 'DJANGO_SETTINGS_MODULE=shop.settings']\npythonpath = '{root}/srv'\n",
        ["gunicorn", "--config=file:conf/env.py", "shop.wsgi"],
    ),
    "uwsgi.ini": (
        "[uwsgi]\nbase = {root}\nchdir = %(base)/srv\nmodule = shop.wsgi:application\n[other]\nmodule = no.wsgi\n",
        ["uwsgi", "--ini", "uwsgi.ini"],
    ),
    "conf/uwsgi.ini": (
        "[uwsgi]\nenv = DJANGO_SETTINGS_MODULE=shop.settings\npythonpath = %d/../../srv\n",
        ["uwsgi", "conf/uwsgi.ini"],
    ),
    "conf/parts.ini": (
        "[base]\npythonpath = {root}/srv\n[web]\nini = :base\nwsgi-file = {root}/srv/shop/wsgi.py\n",
        ["uwsgi", "--ini", "conf/parts.ini:web"],
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configuration_files_of_servers(image, name):
    text, command = CONFIGS[name]
    image.package("srv/shop")
    image.write(f"app/{name}", text)
    started, settings = chosen(image.run(*command))
    assert settings == "shop.settings" and started.startswith("settings shop.settings, which ")


def test_variables_and_options_of_a_script_are_those_of_its_commands(image):
    """A script that others are started from, and a file that it reads."""
    image.write("srv/env.sh", "export DJANGO_SETTINGS_MODULE=shop.${STAGE:-settings}\n")
    image.write("srv/start.sh", '. {root}/srv/env.sh\ncase "$1" in\nweb) exec gunicorn shop.wsgi ;;\nesac\n')
    image.package("app/shop", "shop.other")
    assert chosen(image.run("bash", "{root}/srv/start.sh", "web"))[1] == "shop.settings"


def test_what_a_script_exports_is_there(image):
    image.package("app/shop")
    image.write("app/shop/settings.py", "import os\n" + SETTINGS + "NAME = os.environ['SHOP_NAME']\n")
    line = image.run("sh", "-c", "export SHOP_NAME=x UNKNOWN=$(hostname); gunicorn shop.wsgi")
    assert chosen(line)[1] == "shop.settings"


EXPORTS = {
    "what a command prints": ("export URL=$(cat /run/secrets/db) N=$((1+1)) B=`date`", {}),
    "what depends on that": ('PW="$(cat x)"; export URL="postgres://app:${PW}@db/app"', {}),
    "a condition": ('if [ -z "$URL" ]; then export URL=sqlite; fi', {}),
    "a test before it": ('[ "$MODE" = test ] && export URL=sqlite', {}),
    "what follows a failure": ("false || export URL=sqlite", {}),
    "a function": ("use_tests() {\n  export URL=sqlite\n}", {}),
    "a branch": ('case "$1" in\n test) export URL=sqlite;;\n esac', {}),
    "a dollar in a known value": ("PW='a$b1'; export URL=\"x:${PW}\"", {"URL": "x:a$b1"}),
    "a plain one": ("export URL=plain PORT=${PORT:-8000}", {"URL": "plain", "PORT": "8000"}),
    "a variable that is not set": ('export PORT="${NOSUCH}1"', {"PORT": "1"}),
    "all that is set": ("set -a; URL=plain; PORT=1; set +a; X=2", {"URL": "plain", "PORT": "1"}),
    "one of the container": ("URL=plain", {"URL": "plain"}),
    "a subshell": ("(export URL=sqlite)", {}),
    "a command in the background": ("cd x && export URL=sqlite & true", {}),
    "a comment": ("# Don't\nexport URL=plain  # it's", {"URL": "plain"}),
    "text for a file": ("cat <<EOF >/dev/null\nexport URL=sqlite\nEOF\nexport PORT=1", {"PORT": "1"}),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_only_what_is_known_of_a_script_is_exported(name):
    from django_operator_tasks.job.discovery.clues import read_clues
    from django_operator_tasks.job.discovery.programs import started_programs

    text, expected = EXPORTS[name]
    env = {"URL": "real", "PATH": "/bin"}
    clues = read_clues(
        started_programs(["sh", "-c", text + "\nexec gunicorn --workers $(nproc) --log - shop.wsgi"], "/app", env),
        "/app",
        env,
    )
    assert clues.exported == expected and [each.name for each in clues.applications] == ["shop.wsgi"]


APPLICATIONS = {
    "gunicorn --access-logfile - shop.wsgi": "shop.wsgi",
    "gunicorn -c python:shop.gconf shop.wsgi": "shop.wsgi",
    "gunicorn -c file:gunicorn.conf.py shop.wsgi:app": "shop.wsgi",
    "(cd src && exec gunicorn shop.wsgi)": "shop.wsgi",
    "su app -c 'gunicorn shop.wsgi:application'": "shop.wsgi",
    "sudo -E -u app gunicorn shop.wsgi": "shop.wsgi",
    "python -m debugpy --listen 0.0.0.0:1 -m gunicorn shop.wsgi": "shop.wsgi",
    "coverage run x.py": None,
    "gunicorn -b unix:/run/x.sock -w $((2 * $(nproc) + 1)) shop.wsgi": "shop.wsgi",
    "if true; then case $1 in web|w) exec uvicorn shop.asgi:application;; *) exec true;; esac; fi": "shop.asgi",
    "gunicorn 'shop.wsgi": None,
    "gunicorn $ARGS shop.wsgi": "shop.wsgi",
    "runuser -u app -- gunicorn -c g.py shop.wsgi": "shop.wsgi",
    "opentelemetry-instrument --traces_exporter console gunicorn shop.wsgi": "shop.wsgi",
    "echo $((1<<2)); cat <<< foo\ngunicorn shop.wsgi": "shop.wsgi",
    "case $1 in migrate) set -- python manage.py;; esac; gunicorn shop.wsgi": "shop.wsgi",
    "for x in 1 2; do echo $x; done": None,
}


@pytest.mark.parametrize("text", APPLICATIONS)
def test_what_a_line_of_a_shell_serves(text):
    from django_operator_tasks.job.discovery.clues import read_clues
    from django_operator_tasks.job.discovery.programs import started_programs

    clues = read_clues(started_programs(["bash", "-c", text], "/app", {"PATH": "/bin"}), "/app", {"PATH": "/bin"})
    assert next((each.name for each in clues.applications), None) == APPLICATIONS[text]


UNKNOWABLE = {
    "an import path": ["sh", "-c", "export PYTHONPATH=$PYTHONPATH:{root}/app/src; exec gunicorn shop.wsgi"],
    "an import path, by a command": ["sh", "-c", "PYTHONPATH=$(pwd) gunicorn shop.wsgi"],
    "an environment": ["sh", "-c", ". $(poetry env info --path)/bin/activate && gunicorn shop.wsgi"],
    "a directory": ["sh", "-c", "gunicorn --chdir $(pwd) --pythonpath `pwd` shop.wsgi"],
    "a project of uv": ["sh", "-c", "uv run --project $(pwd) gunicorn shop.wsgi"],
    "an environment of conda": ["sh", "-c", "conda run -n $(x) gunicorn shop.wsgi"],
    "a virtual environment": ["sh", "-c", "export VIRTUAL_ENV=$(pwd)/.venv; gunicorn shop.wsgi"],
    "uwsgi's home": ["sh", "-c", "uwsgi --home $(pwd) --module shop.wsgi"],
    "settings": ["sh", "-c", "gunicorn -e DJANGO_SETTINGS_MODULE=$(x) shop.wsgi"],
    "a script": ["sh", "-c", "python $(x)/run.py"],
}


@pytest.mark.parametrize("name", UNKNOWABLE)
@pytest.mark.parametrize("how", [("--discover",), ("--script", "manage.py")])
def test_what_only_a_shell_could_tell_does_no_harm(image, name, how):
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    line = image.run(*UNKNOWABLE[name], how=how)
    assert line.code == 0 and line.ok and line.settings == "shop.settings", line


def test_scripts_that_call_themselves(image):
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    image.write(
        "all.sh",
        '#!/bin/sh\ncase $1 in\nall) "$0" a & "$0" b & "$0" c & "$0" d &;;\n*) exec gunicorn shop.wsgi;;\nesac\n',
        program=True,
    )
    assert chosen(image.run("{root}/all.sh", "all"))[1] == "shop.settings"


def test_defaults_of_a_server_s_configuration_give_way_to_the_container_s(image):
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    image.write("app/gunicorn.conf.py", "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.dev')\n")
    line = image.run("gunicorn", "shop.wsgi", DJANGO_SETTINGS_MODULE="shop.settings")
    assert chosen(line)[1] == "shop.settings"


def test_settings_on_a_condition_are_named_where_they_differ(image):
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    script = 'if [ "$DEBUG" = true ]; then export DJANGO_SETTINGS_MODULE=%s; fi; exec gunicorn shop.wsgi'
    line = image.run("sh", "-c", script % "shop.local")
    assert line.reason == "ManageAmbiguous" and "(shop.local)" in line.message and "(shop.settings)" in line.message
    assert chosen(image.run("sh", "-c", script % "shop.settings"))[1] == "shop.settings"


def test_directories_of_scripts_are_not_imported_from(image):
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    image.write("app/config/wait.py")
    image.write("app/config/random.py", "raise RuntimeError('not this one')\n")
    assert chosen(image.run("sh", "-c", "python config/wait.py && gunicorn shop.wsgi"))[1] == "shop.settings"


def test_a_manage_py_that_knows_where_django_is(image):
    import sysconfig

    text = "import sys\nsys.path.insert(0, %r)\n" % sysconfig.get_path("purelib")
    image.write("app/manage.py", text + MANAGE % "shop.settings")
    image.package("app/shop")
    assert chosen(image.run("gunicorn", "shop.wsgi", python=image.bare))[1] == "shop.settings"


def test_a_module_with_two_settings_is_no_rival(image):
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    image.write(
        "app/shop/wsgi.py",
        "import os\nif 0:\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.prod')\nelse:\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
    )
    assert chosen(image.run("sh", "-c", "exec gunicorn shop.wsgi"))[1] == "shop.settings"


def test_a_script_that_starts_a_server_is_no_management_program(image):
    image.package("app/shop", wsgi=False)
    image.write(
        "app/start.py", "import django\nfrom django.core.management import call_command\nraise SystemExit('served')\n"
    )
    line = image.run("python", "start.py")
    assert line.reason == "ManageNotFound" and "served" not in line.output


def test_a_program_whose_name_only_begins_like_python_is_not_started(image):
    image.write("app/run-python-server", f"#!{sys.executable}\nopen('started', 'w')\n", program=True)
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop", wsgi=False)
    assert chosen(image.run("./run-python-server", "--serve"))[1] == "shop.settings"
    assert not (image.root / "app/started").exists()


def test_shims_are_not_read_as_scripts(image):
    image.write(
        "bin/gunicorn", '#!/usr/bin/env bash\ncd /elsewhere\nexport PATH=/libexec\nexec pyenv exec "$@"\n', program=True
    )
    image.write("app/src/manage.py", MANAGE % "shop.settings")
    image.package("app/src/shop")
    line = image.run("gunicorn", "--chdir", "src", "shop.wsgi")
    assert chosen(line)[0].startswith("manage.py of /app/src, ")


def test_an_executable_manage_py(image):
    image.write("srv/manage.py", MANAGE % "shop.settings", program=True)
    image.package("srv/shop", wsgi=False)
    line = image.run("{root}/srv/manage.py", "runserver", DJANGO_SETTINGS_MODULE="shop.settings")
    assert chosen(line)[0].startswith("manage.py of /srv, ")


def test_metadata_that_nobody_can_read(image):
    python = installed(image, "shop")
    image.distribution("venv", "broken", {})
    image.write("venv/lib/broken", "")
    info = next(image.root.glob("venv/lib/*/site-packages/broken-1.0.dist-info"))
    (info / "entry_points.txt").write_text("[console_scripts]\nx-y = x-y.main:main\n")
    assert chosen(image.run(python=python))[0] == "shop-manage, the management program of shop"


def test_a_directory_called_celery_is_not_celery(image):
    from django_operator_tasks.job.discovery.interpreters import finds

    image.write("app/celery/README", "")
    assert not finds("celery.app", [str(image.root / "app")]) or finds("celery.app", [])


PROGRAMS = {
    "its own program": ["shopctl", "runserver"],
    "its own module": ["python", "-m", "shop", "runserver"],
    "its own script": ["python", "/{root}/app/run.py", "runserver"],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_management_program_that_the_command_is(image, name):
    python = image.environment("venv")
    packages = image.distribution("venv", "shop", {"shopctl": "shop.__main__:main"})
    main = MANAGE % "shop.settings"
    image.package(f"{packages}/shop", wsgi=False)
    image.write(
        f"{packages}/shop/__main__.py",
        "def main():\n    run()\ndef run():\n"
        + indented(main.replace('if __name__ == "__main__":', "if True:"))
        + "\nif __name__ == '__main__':\n    run()\n",
    )
    image.write("app/run.py", main)
    line = image.run(*PROGRAMS[name], PATH="{root}/venv/bin:/usr/bin:/bin", python=python)
    started, settings = chosen(line)
    assert started.endswith("which the command itself runs") and settings == "shop.settings"


def indented(text):
    return "\n".join("    " + line for line in text.splitlines())


def installed(image, *names):
    python = image.environment("venv")
    for name in names:
        packages = image.distribution(
            "venv", name, {f"{name}-manage": f"{name}.cli:main", f"{name}-web": f"{name}.web:main"}
        )
        image.package(f"{packages}/{name}", wsgi=False)
        body = (MANAGE % f"{name}.settings").replace('if __name__ == "__main__":', "if True:")
        image.write(f"{packages}/{name}/cli.py", "def main():\n" + indented(body))
        image.write(f"{packages}/{name}/web.py", "def main():\n    print('web')\n")
    return python


def test_without_a_command_the_installed_management_program(image):
    python = installed(image, "shop")
    assert chosen(image.run(python=python)) == ("shop-manage, the management program of shop", "shop.settings")


def test_a_program_in_a_package_that_several_distributions_share(image):
    """As OpenTelemetry's: the packages above the program's module have no `__init__` and belong to nobody."""
    python = installed(image, "shop")
    packages = image.distribution("venv", "shared", {"shared-run": "shared.tools.sub.main:main"})
    image.write(f"{packages}/shared/tools/sub/main.py", "def main():\n    pass\n")
    assert chosen(image.run(python=python))[0] == "shop-manage, the management program of shop"


def test_two_management_programs_of_different_settings_are_both_named(image):
    python = installed(image, "one", "two")
    line = image.run(python=python)
    assert (line.code, line.reason) == (1, "ManageAmbiguous")
    assert (
        "/venv/bin/one-manage (one.settings)" in line.message and "/venv/bin/two-manage (two.settings)" in line.message
    )
    assert line.message.endswith(
        "write the one that is meant into the annotation django.my.domain/manage on the target"
    )


def test_two_manage_files_of_different_settings_are_both_named_and_each_can_be_annotated(image):
    for name in ("one", "two"):
        image.write(f"srv/{name}/manage.py", MANAGE % f"{name}.settings")
        image.package(f"srv/{name}/{name}", wsgi=False)
    line = image.run("gunicorn", "--pythonpath", "{root}/srv/one,{root}/srv/two", "one.wsgi")
    assert line.reason == "ManageAmbiguous"
    assert "/srv/one/manage.py (one.settings)" in line.message and "/srv/two/manage.py (two.settings)" in line.message
    line = image.run(how=("--script", f"{image.root}/srv/two/manage.py"))
    assert line.code == 0 and line.settings == "two.settings"
    # What the environment names, both take.
    env = {"DJANGO_SETTINGS_MODULE": "one.settings"}
    assert image.run("gunicorn", "--pythonpath", "{root}/srv/one,{root}/srv/two", "one.wsgi", **env).code == 0


def test_settings_by_annotation(image):
    image.package("app/shop", wsgi=False)
    line = image.run(how=("--module", "django", "--settings=shop.settings"))
    assert line.code == 0 and line.settings == "shop.settings" and line.started == ""


def test_commands_of_ours_say_how_they_were_started_too(image):
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop", wsgi=False)
    image.write(
        "app/shop/settings.py",
        SETTINGS.replace(
            "DATABASES = {}", "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db'}}"
        ),
    )
    line = image.run(argv=("lockedmigrate", "--noinput"))
    assert line.started.startswith("manage.py of the working directory /app, by "), line


def test_words_before_the_command(image):
    image.write(
        "app/tool.py",
        "import sys, runpy\nassert sys.argv[1:3] == ['manage', 'check'], sys.argv\ndel sys.argv[1]\nrunpy.run_path('manage.py', run_name='__main__')\n",
    )
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop", wsgi=False)
    line = image.run(how=("--script", "tool.py", "--argument=manage"))
    assert line.code == 0 and line.settings == "shop.settings", line


def test_nothing_found_says_where_it_looked_and_what_to_write(image):
    python = installed(image)
    image.distribution("venv", "tool", {"tool-run": "tool.cli:main"})
    line = image.run("gunicorn", "shop.wsgi", python=python)
    assert (line.code, line.reason) == (1, "ManageNotFound")
    for words in (
        "no manage.py in the working directory /app; ",
        "DJANGO_SETTINGS_MODULE is not set",
        "shop.wsgi, which gunicorn loads, is not there",
        "by the annotation django.my.domain/manage on the target, such as: /venv/bin/python /app/path/to/manage.py, or one of its programs: ",
        "tool-run",
    ):
        assert words in line.message, line.message
    assert "Traceback" not in line.output


def test_an_annotation_that_is_wrong_gets_one_that_is_right(image):
    image.write("app/src/manage.py", MANAGE % "shop.settings")
    image.package("app/src/shop")
    words = "on the target, such as: "
    for how in (("--script", "nope.py"), ("--module", "nope"), ("--console", "nope")):
        line = image.run("gunicorn", "--chdir", "src", "shop.wsgi", how=how)
        assert line.reason == "ManageNotFound" and line.message.endswith(
            f"{words}{sys.executable} /app/src/manage.py"
        ), line
        assert image.run(how=how).message.count(words + sys.executable) == 1


@pytest.mark.parametrize("named", ["/dev/stdout", "/proc/self/mem", "{root}/pipe", "{root}", "/dev/zero"])
def test_what_is_no_file_of_a_sensible_size_is_not_read(image, named):
    import os

    os.mkfifo(image.root / "pipe")
    image.package("app/shop")
    line = image.run("sh", named, "gunicorn", DJANGO_SETTINGS_MODULE="shop.settings")
    assert chosen(line)[1] == "shop.settings"
    line = image.run("gunicorn", "-c", named, "shop.wsgi")
    assert chosen(line)[1] == "shop.settings"


INTERPRETERS = {
    "beside the project": (".venv", [], {}),
    "beside the project, as venv": ("app/venv", [], {}),
    "uv run": ("app/.venv", ["uv", "run", "--no-sync", "gunicorn", "shop.wsgi"], {}),
    "uv's environment elsewhere": (
        "opt/env",
        ["uv", "run", "--", "gunicorn", "shop.wsgi"],
        {"UV_PROJECT_ENVIRONMENT": "{root}/opt/env"},
    ),
    "uv run --project": (
        "srv/project/.venv",
        ["uv", "--project", "{root}/srv/project", "run", "-m", "gunicorn", "shop.wsgi"],
        {},
    ),
    "poetry run": ("home/.cache/pypoetry/virtualenvs/shop-x-py3", ["poetry", "run", "gunicorn", "shop.wsgi"], {}),
    "VIRTUAL_ENV": ("opt/venv", ["gunicorn", "shop.wsgi"], {"VIRTUAL_ENV": "{root}/opt/venv"}),
    "activate": ("opt/venv", ["sh", "-c", ". {root}/opt/venv/bin/activate && gunicorn shop.wsgi"], {}),
    "the program's own": ("opt/venv", ["{root}/opt/venv/bin/gunicorn", "shop.wsgi"], {}),
    "the program's own, on the PATH": (
        "opt/venv",
        ["gunicorn", "shop.wsgi"],
        {"PATH": "{root}/opt/venv/bin:/usr/bin:/bin"},
    ),
    "named in a shell": ("opt/venv", ["sh", "-c", "exec {root}/opt/venv/bin/python -m gunicorn shop.wsgi"], {}),
    "pyenv": ("home/.pyenv/versions/3.12.1", [], {}),
    "conda run": (
        "opt/conda/envs/shop",
        ["conda", "run", "-n", "shop", "gunicorn", "shop.wsgi"],
        {"MAMBA_ROOT_PREFIX": "{root}/opt/conda"},
    ),
    "uwsgi's file": ("opt/venv", ["uwsgi", "--ini", "uwsgi.ini"], {}),
    "uwsgi's option": ("opt/venv", ["uwsgi", "--module", "shop.wsgi", "--virtualenv", "{root}/opt/venv"], {}),
}


@pytest.mark.parametrize("name", INTERPRETERS)
def test_the_interpreter_that_has_django(image, name):
    path, command, env = INTERPRETERS[name]
    path = path.replace("{root}", str(image.root))
    image.environment(path)
    if "opt/venv" in path:
        image.script(f"{path}/bin/gunicorn", f"{image.root}/{path}/bin/python")
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    image.write("app/uwsgi.ini", "[uwsgi]\nmodule = shop.wsgi\nvirtualenv = {root}/opt/venv\n")
    line = image.run(*command, python=image.bare, **env)
    assert chosen(line)[1] == "shop.settings" and line.started.endswith(f", by /{path}/bin/python"), line


def test_the_program_s_own_interpreter_goes_before_another_that_has_django(image):
    image.environment("opt/venv")
    image.script("opt/venv/bin/gunicorn", f"{image.root}/opt/venv/bin/python")
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    line = image.run("{root}/opt/venv/bin/gunicorn", "shop.wsgi", python=sys.executable)
    assert line.started.endswith(", by /opt/venv/bin/python")


def test_without_django_every_interpreter_that_was_tried_is_named(image):
    image.environment("app/.venv", django=False)
    image.write("app/manage.py", MANAGE % "shop.settings")
    line = image.run("gunicorn", "shop.wsgi", python=image.bare)
    assert (line.code, line.reason) == (1, "InterpreterWithoutDjango")
    assert "tried /bare/bin/python (started with), /app/.venv/bin/python (of .venv beside the project)" in line.message
    assert line.message.endswith("on the target, such as: /path/to/venv/bin/python /app/manage.py")


def test_celery_is_looked_for_in_the_interpreter_of_the_project(image):
    python = image.environment("app/.venv", django=False)
    packages = next((image.root / "app/.venv/lib").glob("*/site-packages"))
    for module in ("django/__init__", "django/core/__init__"):
        image.write(str((packages / f"{module}.py").relative_to(image.root)))
    line = image.run(python=image.bare, how=("--discover", "--celery"), argv=("-A", "shop", "purge", "-f"))
    assert line.reason == "CeleryNotInstalled" and python.replace(str(image.root), "") in line.message, line


USUAL = {
    "no command": ([], {}, True),
    "a server": (["gunicorn", "--bind", "0.0.0.0:8000", "shop.wsgi:application"], {}, True),
    "one that is not there": (["hypercorn", "shop.asgi:application"], {}, True),
    "settings in the environment": (["gunicorn", "shop.wsgi"], {"DJANGO_SETTINGS_MODULE": "shop.settings"}, True),
    "a directory": (["gunicorn", "--chdir", "src", "shop.wsgi"], {}, False),
    "variables": (["gunicorn", "-e", "DJANGO_SETTINGS_MODULE=shop.settings", "shop.wsgi"], {}, False),
    "a shell": (["sh", "-c", "gunicorn shop.wsgi"], {}, False),
    "a reference": (["gunicorn", "$(APP)"], {"APP": "shop.wsgi"}, False),
    "a module that is elsewhere": (["gunicorn", "elsewhere.wsgi"], {}, False),
    "an import path": (["gunicorn", "shop.wsgi"], {"PYTHONPATH": "src"}, False),
    "options in the environment": (["gunicorn", "shop.wsgi"], {"GUNICORN_CMD_ARGS": "--chdir src"}, False),
}


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_case_is_told_at_a_glance_as_the_search_tells_it(image, monkeypatch, name):
    from django_operator_tasks.job.discovery.choice import choose_start
    from django_operator_tasks.job.discovery.usual import usual_start
    from django_operator_tasks.job.project import find_clues

    command, env, usual = USUAL[name]
    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    monkeypatch.chdir(image.root / "app")
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for key, value in env.items():
        monkeypatch.setenv(key, value)
    found = usual_start(command)
    assert (found is not None) is usual
    if found is not None:
        searched = choose_start(find_clues(command))
        assert (found.script, found.why, found.settings) == (searched.script, searched.why, searched.settings)


@pytest.mark.parametrize(
    "server",
    ["#!/elsewhere/bin/python3\n", "#!/bin/sh\nexec python\n", "\x7fELF"],
)
def test_a_server_of_another_interpreter_is_no_usual_case(image, monkeypatch, server):
    from django_operator_tasks.job.discovery.usual import usual_start

    image.write("app/manage.py", MANAGE % "shop.settings")
    image.package("app/shop")
    image.write("bin/gunicorn", server, program=True)
    monkeypatch.chdir(image.root / "app")
    monkeypatch.setenv("PATH", str(image.root / "bin"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert usual_start(["gunicorn", "shop.wsgi"]) is None
