"""Helm 3 and 4, and what they render and install."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from support.fixtures import await_job_controller
from support.kube import ROOT, TIMEOUT, Kube

BIN = ROOT / "target/delivery"
CHARTS = ROOT / "config/helm"
IMAGE = ("--set", "image.tag=test")


class Helm:
    """One version of Helm, with a home of its own."""

    def __init__(self, program, home, kubeconfig=None):
        self.program = program
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig or "/dev/null"),
            "NO_PROXY": os.environ.get("NO_PROXY", ""), "no_proxy": os.environ.get("NO_PROXY", ""),
        }

    def __call__(self, *argv, check=True, input=None):
        command = [str(BIN / self.program), *map(str, argv)]
        done = subprocess.run(command, env=self.env, input=input, capture_output=True, text=True, timeout=4 * TIMEOUT)
        if check and done.returncode:
            raise AssertionError("%s\n%s%s" % (" ".join(command), done.stdout, done.stderr))
        return done

    def template(self, chart, ns, *argv):
        """The objects of a release."""
        # A Helm that was built from its module takes the API server for an old one.
        text = self("template", chart, CHARTS / chart, "-n", ns, "--no-hooks", "--kube-version", "1.35.0", *argv).stdout
        return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(params=["helm3", "helm4"])
def helm(request, tmp_path):
    """Without a cluster."""
    return Helm(request.param, tmp_path)


@pytest.fixture(params=["helm3", "helm4"])
def cluster_helm(request, tmp_path, kube):
    return Helm(request.param, tmp_path, kube.kubeconfig)


@pytest.fixture
def cluster_helm_4(tmp_path, kube):
    """With the kinds, which go again."""
    helm = Helm("helm4", tmp_path, kube.kubeconfig)
    helm("install", "django-operator-cluster", CHARTS / "django-operator-cluster", "-n", "default")
    kube.kubectl("wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/part-of=django-operator", "--timeout=60s")
    yield helm
    helm("uninstall", "django-operator-cluster", "-n", "default")
    kube.kubectl("delete", "--ignore-not-found", "-k", str(ROOT / "config/crd"))


def by_name(documents):
    """Objects by kind, namespace and name."""
    return {(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]): d for d in documents}


def changed_chart(chart, path, change):
    """A copy of a chart, after `change` of its directory."""
    copy = Path(path) / chart
    subprocess.run(["cp", "-r", str(CHARTS / chart), str(copy)], check=True)
    change(copy)
    return copy


@pytest.fixture(scope="session")
def kube():
    """A cluster without the kinds, which the charts bring."""
    kubeconfig = os.environ.get("KUBECONFIG")
    assert kubeconfig and Path(kubeconfig).exists(), "no cluster: start the tests by `make test-delivery`"
    kube = Kube(kubeconfig)
    await_job_controller(kube)
    return kube


@pytest.fixture(scope="session")
def shop(kube):
    """The namespace of a real project."""
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
    kube.kubectl("apply", "-n", "shop", "-k", str(ROOT / "tests/project/deploy"))
    kube.kubectl("wait", "-n", "shop", "--for=condition=Available", "deployment", "--all", "--timeout=400s")
    return "shop"
