"""Every Job that a reviewer read is one that the real API server takes."""

import pytest
import yaml
from support.kube import ROOT

FILES = sorted((ROOT / "tests/golden/jobs").glob("*.snap"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_the_api_server_accepts_the_job(kube, path):
    text = path.read_text().split("---\n", 2)[2]
    if text.startswith("REFUSED"):
        return
    job = yaml.safe_load(text)
    job["metadata"]["namespace"] = "default"
    made = kube.call("POST", "/apis/batch/v1/namespaces/default/jobs?dryRun=All", job)
    assert made["spec"]["template"]["spec"]["containers"][0]["name"]


def test_there_are_cases_of_both_sorts():
    refused = [p for p in FILES if "REFUSED" in p.read_text()]
    assert len(refused) >= 5 and len(FILES) - len(refused) >= 20
