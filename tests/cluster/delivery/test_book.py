"""The pages make a book."""

import re
import subprocess

from delivery.conftest import BIN
from support.kube import ROOT


def test_the_book_is_whole(tmp_path):
    done = subprocess.run([str(BIN / "mdbook"), "build", "--dest-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "WARN" not in done.stderr and "ERROR" not in done.stderr, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").rglob("*.md")))
    for page in pages:
        for target in re.findall(r'(?:href|src)="([^"#:]+)(?:#[^"]*)?"', page.read_text()):
            assert (page.parent / target).exists() or page.name == "404.html", "%s: %s" % (page.relative_to(tmp_path), target)
