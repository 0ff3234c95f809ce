"""What README and the first pages tell to type about Helm, tasks and install.yaml, as it stands there, but for the registry."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from delivery.conftest import BIN, delete_kinds
from support.kube import ROOT, becomes
from support.operator import binary


def blocks(page, heading=None, language="sh"):
    """The code of a page, or of one of its sections."""
    text = (ROOT / page).read_text()
    if heading:
        text = text.partition("\n## %s\n" % heading)[2].partition("\n## ")[0]
    return re.findall("```%s\n(.*?)```" % language, text, re.S)


@pytest.fixture
def shell(kube, cluster_helm, tmp_path):
    """Runs a block, with the images of the tests, in a directory with what a checkout has."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/helm").symlink_to(BIN / cluster_helm.program)
    (tmp_path / "bin/django-operator").symlink_to(binary())
    (tmp_path / "config").symlink_to(ROOT / "config")
    config = yaml.safe_load(Path(kube.kubeconfig).read_text())
    config["contexts"][0]["context"]["namespace"] = "shop"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    path = "%s:%s" % (tmp_path / "bin", os.environ["PATH"])
    env = {**cluster_helm.env, "PATH": path, "KUBECONFIG": str(tmp_path / "kubeconfig")}

    def run(block):
        block = block.replace("image.repository=registry.example.com/django-operator", "image.tag=test")
        block = block.replace("registry.example.com/django-operator:0.1.0", "localhost/django-operator:test")
        assert "registry.example.com" not in block
        done = subprocess.run(["bash", "-euc", block], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, block + done.stdout + done.stderr
        return done.stdout

    yield run
    for ns, release in (("shop", "django-operator"), ("django-operator", "django-operator-cluster")):
        cluster_helm("uninstall", release, "-n", ns, "--ignore-not-found")
    delete_kinds(kube)
    kube.delete("Secret", "shop", "admin")


def installation(page, heading):
    (block,) = [block for block in blocks(page, heading) if "helm install" in block]
    return block


def test_readme(kube, shop, shell, tmp_path):
    told = shell(installation("README.md", "Install"))
    assert told.count("STATUS: deployed") >= 2
    # The project of the tests has the label that README asks for.
    (label,) = re.findall(r"(app.kubernetes.io/component): (django-server)", "".join(blocks("README.md", "Label", "yaml")))
    web = kube.get("Deployment", "shop", "web")["spec"]["template"]["metadata"]["labels"]
    assert web[label[0]] == label[1]
    (manifest,) = blocks("README.md", "Apply", "yaml")
    (tmp_path / "migrate.yaml").write_text(manifest)
    for block in blocks("README.md", "Apply"):
        shell(block)
    for line in "".join(blocks("README.md", "See", "console")).splitlines():
        if line.startswith("$ "):
            shell(line[2:])
    becomes(kube, "shop", "migrate", "Succeeded")


def test_the_first_task_an_upgrade_and_the_end(kube, shop, shell):
    assert installation("docs/install.md", "By Helm") == installation("README.md", "Install")
    shell(installation("docs/install.md", "By Helm"))
    for block in blocks("docs/first-task.md"):
        shell(block)
    (check,) = [block for block in blocks("docs/install.md", "For one namespace, several or all") if "check rights" in block]
    shell(check)
    (checks,) = [block for block in blocks("docs/troubleshooting.md") if "check kinds" in block]
    shell(checks.replace("OPERATOR_NAMESPACE", "shop").replace("NAMESPACE", "shop"))
    becomes(kube, "shop", "migrate", "Succeeded")
    becomes(kube, "shop", "admin", "Succeeded", "DjangoUser")
    runs = kube.get("DjangoMigrate", "shop", "migrate")["status"]["lastRun"]["number"]
    for block in blocks("docs/install.md", "Upgrade"):
        shell(block)
    kube.kubectl("rollout", "status", "-n", "shop", "deployment/django-operator", "--timeout=180s")
    releases, kinds, _ = blocks("docs/install.md", "Uninstall")
    shell(releases)
    assert kube.get("DjangoMigrate", "shop", "migrate")["status"]["lastRun"]["number"] == runs
    shell(kinds)


def test_installation_by_one_file(kube, shell):
    (block,) = [block for block in blocks("docs/install.md", "Without Helm") if "config/install.yaml" in block]
    try:
        shell(block)
        kube.kubectl("rollout", "status", "-n", "django-operator", "deployment/django-operator", "--timeout=180s")
    finally:
        kube.kubectl("delete", "--ignore-not-found", "-f", str(ROOT / "config/install.yaml"))
