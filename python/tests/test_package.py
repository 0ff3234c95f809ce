"""The wheel and the source distribution, as people get them."""

import json
import subprocess
import sys
import tarfile
import zipfile

import pytest
from conftest import PROJECT, PROJECTS, ROOT, SHOP, SOURCE

PACKAGE = ROOT / "python"
DJK8S = PACKAGE / "djk8s"
pytestmark = pytest.mark.xdist_group("package")  # builds once


def build(source, out):
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source], check=True, capture_output=True
    )
    return out


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The directory with both."""
    return build(PACKAGE, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def built_djk8s(tmp_path_factory):
    """The same of the distribution that provides the import name `djk8s`."""
    return build(DJK8S, tmp_path_factory.mktemp("djk8s"))


def test_those_of_djk8s_are_whole_and_their_page_renders(built_djk8s):
    (wheel,), (sdist,) = built_djk8s.glob("*.whl"), built_djk8s.glob("*.tar.gz")
    sources = {str(file.relative_to(DJK8S / "src")) for file in (DJK8S / "src").rglob("*.py")}
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == sources
    with tarfile.open(sdist) as archive:
        listed = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"src/" + name for name in sources} | {"README.md", "LICENSE", "pyproject.toml"} <= listed
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], check=True, capture_output=True)
    assert (DJK8S / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_both_are_whole_and_their_pages_render(built):
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    sources = {str(file.relative_to(SOURCE)) for file in (SOURCE / "django_operator_tasks").rglob("*.py")}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == sources | {"django_operator_tasks/py.typed"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    with tarfile.open(sdist) as archive:
        listed = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "src/django_operator_tasks/py.typed"} <= listed
    assert not any(name.startswith("tests") or "__pycache__" in name for name in listed)
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], check=True, capture_output=True)
    assert (PACKAGE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.fixture(scope="module")
def python(built, built_djk8s, tmp_path_factory):
    """An interpreter that has the wheels, and nothing of this repository."""
    environment = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    wheels = [wheel for directory in (built, built_djk8s) for wheel in directory.glob("*.whl")]
    subprocess.run(
        [
            ROOT / "tests/retry",
            environment / "bin/pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *wheels,
            "Django==5.2.19",
            "celery==5.7.0",
        ],
        check=True,
    )
    return environment / "bin/python"


def test_the_wheel_works_as_an_application(python, tmp_path):
    env = {"DATABASE_FILE": str(tmp_path / "db"), "PYTHONDONTWRITEBYTECODE": "1"}
    for argv in (
        ["check", "--deploy"],
        ["lockedmigrate"],
        ["wait4db", "-s", "0.1"],
        ["probe", "--ready"],
        ["ensureadmin", "-u", "ann", "-p", "long-enough-1"],
    ):
        subprocess.run([python, "manage.py", *argv], cwd=SHOP, env=env, check=True, capture_output=True)
    done = subprocess.run(
        [python, "-m", "django_operator_tasks.heartbeat", "worker"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"DJK8S_HEARTBEAT_DIR": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "no heartbeat" in done.stdout


def test_a_project_that_was_written_for_djk8s_stays_as_it_is(python, tmp_path):
    env = {"DATABASE_FILE": str(tmp_path / "db"), "PYTHONDONTWRITEBYTECODE": "1"}
    for argv in (
        ["check"],
        ["lockedmigrate", "--noinput"],
        ["wait4db", "-s", "0.1"],
        ["ensureadmin", "-u", "ann", "-p", "long-enough-1"],
        ["probe", "--ready"],
    ):
        done = subprocess.run(
            [python, "manage.py", *argv], cwd=PROJECTS / "legacy", env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    asked = subprocess.run([python, "answers.py"], cwd=PROJECTS / "legacy", env=env, check=True, capture_output=True)
    answers = json.loads(asked.stdout.splitlines()[-1])["answers"]
    assert answers["get False 10.0.0.1 /livez"] == [200, "text/plain", "Ok", None]


@pytest.mark.parametrize(
    "command",
    [["lockedmigrate"], ["lockedmigrate", "myapp", "zero"], ["ensureadmin"], ["lockedmigrate", "nope"]],
    ids=str,
)
def test_the_wheel_and_the_zip_say_the_same(python, pyz, tmp_path, command):
    """`python -m django_operator_tasks` is what the operator runs from the zip."""

    def said(how):
        log = tmp_path / "log"
        log.touch()
        env = {
            "DATABASE_FILE": str(tmp_path / ("zip.db" if how == [str(pyz)] else "wheel.db")), "DJK8S_TERMINATION_LOG": str(log), "PYTHONDONTWRITEBYTECODE": "1",
            "DJANGO_ADMIN_USERNAME": "ann", "DJANGO_ADMIN_PASSWORD": "long-enough-1", "DJANGO_SETTINGS_MODULE": "myapp.settings",
        }  # fmt: skip
        for argv in (["lockedmigrate"], command):
            subprocess.run(
                [python, *how, "--script", "manage.py", "--", *argv], cwd=PROJECT, env=env, capture_output=True
            )
        return json.loads(log.read_text().replace(env["DATABASE_FILE"], "DB"))

    assert said(["-m", "django_operator_tasks"]) == said([str(pyz)])
