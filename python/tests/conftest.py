"""The test project of this repository, on SQLite, with the package from its sources."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "python/src"
PROJECT = ROOT / "tests/project"


@pytest.fixture(scope="session")
def pyz(tmp_path_factory):
    """The package as a Job gets it."""
    path = tmp_path_factory.mktemp("zip") / "tasks.pyz"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(SOURCE.rglob("*.py")):
            archive.write(file, file.relative_to(SOURCE))
    return path


@pytest.fixture
def run(pyz, tmp_path):
    """Runs the helper on the project in a process of its own; (exit code, output)."""

    def run(*argv, cwd=PROJECT, **env):
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_FILE": str(tmp_path / "db.sqlite3"),
            "STATIC_ROOT": str(tmp_path / "static"),
            "DJANGO_SETTINGS_MODULE": "myapp.settings",
            **{k: v for k, v in env.items() if v is not None},
        }
        done = subprocess.run(
            [sys.executable, str(pyz), *argv], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def manage(run):
    return lambda *argv, **env: run("--script", "manage.py", "--", *argv, **env)
