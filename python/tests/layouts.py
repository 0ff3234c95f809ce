"""Images as projects lay them out, without a container: directories, virtual environments and programs below one
directory, which stands for `/`."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

VERSION = "python%d.%d" % sys.version_info[:2]
MANAGE = """
import os, sys
if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "%s")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
SETTINGS = "SECRET_KEY = 'x'\nINSTALLED_APPS = []\nDATABASES = {}\n"
WSGI = """
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "%s")
application = get_wsgi_application()
"""


class Image:
    """What lies in an image, and what runs there."""

    def __init__(self, root, pyz):
        self.root, self.pyz = Path(root), pyz
        self.bare = self.environment("bare", django=False)

    def write(self, path, text="", *, program=False):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("{root}", str(self.root)))
        if program:
            file.chmod(0o755)
        return str(file)

    def package(self, path, settings="shop.settings", *, wsgi=True):
        """A project's package: settings, and what a server loads."""
        self.write(f"{path}/__init__.py")
        self.write(f"{path}/settings.py", SETTINGS)
        if wsgi:
            self.write(f"{path}/wsgi.py", WSGI % settings)
            self.write(f"{path}/asgi.py", (WSGI % settings).replace("wsgi", "asgi"))

    def environment(self, path, *, django=True):
        """A virtual environment, which has Django or has not; its interpreter."""
        home = self.root / path
        (home / "bin").mkdir(parents=True)
        python = home / "bin/python"
        python.symlink_to(os.path.realpath(sys.executable))
        (home / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
        packages = home / "lib" / VERSION / "site-packages"
        packages.mkdir(parents=True)
        if django:
            (packages / "all.pth").write_text(sysconfig.get_path("purelib") + "\n")
        return str(python)

    def script(self, path, python):
        """A console script of an environment."""
        return self.write(path, f"#!{python}\n", program=True)

    def distribution(self, environment, name, scripts):
        """Something that is installed, with console scripts."""
        packages = f"{environment}/lib/{VERSION}/site-packages"
        info = f"{packages}/{name}-1.0.dist-info"
        self.write(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: Django>=4.2\n"
        )
        listed = "".join(f"{script} = {entry}\n" for script, entry in scripts.items())
        self.write(f"{info}/entry_points.txt", f"[console_scripts]\n{listed}")
        for script, entry in scripts.items():
            module, _, function = entry.partition(":")
            text = f"#!{self.root}/{environment}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
            self.write(f"{environment}/bin/{script}", text, program=True)
        return packages

    def run(self, *command, cwd="app", python=None, argv=("check",), how=("--discover",), **env):
        """Runs the helper as a Job does; what it reports."""
        log = self.root / "termination-log"
        log.write_text("")
        (self.root / cwd).mkdir(parents=True, exist_ok=True)
        words = [f"--container-command={word.replace('{root}', str(self.root))}" for word in command]
        environment = {
            "PATH": f"{self.root}/bin:/usr/bin:/bin",
            "HOME": str(self.root / "home"),
            "DJK8S_TERMINATION_LOG": str(log),
            "PYTHONDONTWRITEBYTECODE": "1",
            **{name: value.replace("{root}", str(self.root)) for name, value in env.items()},
        }
        done = subprocess.run(
            [python or sys.executable, str(self.pyz), *how, *words, "--", *argv],
            cwd=self.root / cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        line = json.loads(log.read_text() or "{}")
        for key in ("started", "message"):
            line[key] = line.get(key, "").replace(str(self.root), "")
        return SimpleNamespace(
            output=done.stdout + done.stderr, code=done.returncode, **{"reason": "", "settings": "", **line}
        )


def chosen(line):
    """How the project was started, without the interpreter, and with which settings, where all went well."""
    assert line.code == 0 and line.ok, line
    return line.started.rpartition(", by ")[0], line.settings
