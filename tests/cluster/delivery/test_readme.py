"""What README tells to type, as it stands there, but for the registry."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from delivery.conftest import BIN, delete_kinds
from support.kube import ROOT, becomes

README = (ROOT / "README.md").read_text()


def blocks(heading, language="sh"):
    """The code of a section."""
    section = README.partition("\n## %s\n" % heading)[2].partition("\n## ")[0]
    return re.findall("```%s\n(.*?)```" % language, section, re.S)


@pytest.fixture
def shell(kube, cluster_helm, tmp_path):
    """Runs a block of README with the images of the tests."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/helm").symlink_to(BIN / cluster_helm.program)
    config = yaml.safe_load(Path(kube.kubeconfig).read_text())
    config["contexts"][0]["context"]["namespace"] = "shop"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    path = "%s:%s" % (tmp_path / "bin", os.environ["PATH"])
    env = {**cluster_helm.env, "PATH": path, "KUBECONFIG": str(tmp_path / "kubeconfig")}

    def run(block, **more):
        block = block.replace("image.repository=registry.example.com/django-operator", "image.tag=test")
        block = block.replace("registry.example.com/django-operator:0.1.0", "localhost/django-operator:test")
        assert "registry.example.com" not in block
        done = subprocess.run(["bash", "-euc", block], cwd=ROOT, env=env, capture_output=True, text=True, **more)
        assert done.returncode == 0, block + done.stdout + done.stderr
        return done.stdout

    yield run
    for ns, release in (("shop", "django-operator"), ("django-operator", "django-operator-cluster")):
        cluster_helm("uninstall", release, "-n", ns, "--ignore-not-found")
    delete_kinds(kube)


def test_installation_first_task_and_uninstallation(kube, shop, shell):
    (helm,) = [block for block in blocks("Install") if "helm install" in block]
    told = shell(helm)
    assert told.count("STATUS: deployed") >= 2
    # The project of the tests has the label that README asks for.
    (label,) = re.findall(r"(app.kubernetes.io/component): (django-server)", "".join(blocks("Install", "yaml")))
    web = kube.get("Deployment", "shop", "web")["spec"]["template"]["metadata"]["labels"]
    assert web[label[0]] == label[1]
    (manifest,) = blocks("The five kinds", "yaml")
    # As people apply it: what kubectl knows of the kinds is from before Helm installed them, and is read anew here.
    shell("kubectl apply -f -", input=manifest)
    for line in "".join(blocks("The five kinds", "console")).splitlines():
        if line.startswith("$ "):
            shell(line[2:])
    becomes(kube, "shop", "migrate", "Succeeded")
    shell([block for block in blocks("Uninstall") if "helm uninstall" in block][0])
    assert kube.get("DjangoMigrate", "shop", "migrate")


def test_installation_by_one_file(kube, shell):
    (block,) = [block for block in blocks("Install") if "config/install.yaml" in block]
    try:
        shell(block)
        kube.kubectl("rollout", "status", "-n", "django-operator", "deployment/django-operator", "--timeout=180s")
    finally:
        kube.kubectl("delete", "--ignore-not-found", "-f", str(ROOT / "config/install.yaml"))
