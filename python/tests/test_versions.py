"""The package on every Python of this machine, and with every Django that is supported there. Tests marked
`everywhere` are run again in an environment of their own; what this machine lacks is skipped, by name."""

import os
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

PAIRS = [("3.9", "4.2.30"), ("3.10", "4.2.30"), ("3.12", "6.0.10"), ("3.13", "6.1.3")]
UNSUPPORTED = ["3.6", "3.7", "3.8"]
PACKAGES = [
    "celery[redis]==5.6.3",
    "psycopg[binary]==3.2.13",
    "pytest==8.4.2",
    "pytest-timeout==2.4.0",
    "tzdata==2026.6",
]


def interpreter(version):
    """The path of a Python of this version; skips the test if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for program in ["python" + version, *map(str, pyenv.glob(version + ".*/bin/python"))]:
        try:
            code = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
            done = subprocess.run([program, "-c", code], capture_output=True, text=True)
        except FileNotFoundError:
            continue
        if done.returncode == 0 and done.stdout.startswith(version + " "):
            return done.stdout.split()[1]
    pytest.skip("this machine has no Python " + version)


@pytest.mark.parametrize(("python", "django"), PAIRS, ids=lambda version: version)
def test_it_works_on(python, django, tmp_path):
    environment = tmp_path / "venv"
    subprocess.run([interpreter(python), "-m", "venv", environment], check=True)
    pip = [
        ROOT / "tests/retry",
        environment / "bin/pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "Django==" + django,
        *PACKAGES,
    ]
    subprocess.run(pip, check=True)
    tests = [
        environment / "bin/python",
        "-m",
        "pytest",
        "-q",
        "-m",
        "everywhere",
        "-p",
        "no:cacheprovider",
        ROOT / "python/tests",
    ]
    done = subprocess.run(tests, capture_output=True, text=True, cwd=ROOT / "python")
    closing = done.stdout.strip().splitlines()[-1]
    print("Python %s, Django %s: %s" % (python, django, closing))
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert "passed" in closing
    assert "skipped" not in closing


@pytest.mark.parametrize("version", UNSUPPORTED)
def test_an_older_python_is_told_what_it_lacks(version, pyz):
    done = subprocess.run(
        [interpreter(version), pyz, "--script", "manage.py", "--", "check"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "the image's Python is %s; the tasks need 3.9 or newer" % version in done.stderr
