"""Helm 3 and 4, and what they render and install."""

import os
import subprocess

import pytest
import yaml
from support.fixtures import await_job_controller, running_cluster
from support.kube import GROUP, KINDS, ROOT, TIMEOUT, eventually

BIN = ROOT / "target/delivery"
ARGO = ROOT / "config/argo-cd/resource_customizations/django.my.domain/_"
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

    def __call__(self, *argv, check=True):
        command = [str(BIN / self.program), *map(str, argv)]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=4 * TIMEOUT)
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


def await_kinds(kube):
    """Until the API server serves the kinds. (`kubectl wait` fails where an object has no conditions at all yet.)"""
    for plural in KINDS.values():
        eventually(lambda plural=plural: serves(kube, plural), "it serves " + plural)


def serves(kube, plural):
    """Whether the API server has the kind. (An unknown path is answered without JSON.)"""
    return kube.http.get("%s%s/%s" % (kube.server, GROUP, plural), timeout=30).status_code == 200


def delete_kinds(kube):
    """The tasks before their kinds: the garbage collector cannot look for the owner of a Job whose kind is not known."""
    for kind, plural in KINDS.items():
        found = kube.call("GET", "%s/%s" % (GROUP, plural))["items"] if serves(kube, plural) else []
        for made in found:
            kube.delete(kind, made["metadata"]["namespace"], made["metadata"]["name"])

    def jobs():
        return kube.call("GET", "/apis/batch/v1/jobs?labelSelector=app.kubernetes.io/managed-by=django-operator")["items"]

    eventually(lambda: not jobs(), "the tasks' Jobs are gone")
    kube.kubectl("delete", "--ignore-not-found", "-k", str(ROOT / "config/crd"))


@pytest.fixture
def cluster_helm_4(tmp_path, kube):
    """With the kinds, which go again."""
    helm = Helm("helm4", tmp_path, kube.kubeconfig)
    helm("install", "django-operator-cluster", CHARTS / "django-operator-cluster", "-n", "default")
    await_kinds(kube)
    yield helm
    helm("uninstall", "django-operator-cluster", "-n", "default")
    delete_kinds(kube)


def by_name(documents):
    """Objects by kind, namespace and name."""
    return {(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]): d for d in documents}


def kustomized(*directories):
    """The objects of these directories."""
    objects = []
    for directory in directories:
        done = subprocess.run(["kubectl", "kustomize", str(ROOT / directory)], capture_output=True, text=True, check=True)
        objects += list(yaml.safe_load_all(done.stdout))
    return objects


@pytest.fixture(scope="session")
def kube():
    """A cluster without the kinds, which the charts bring."""
    kube = running_cluster()
    await_job_controller(kube)
    return kube


@pytest.fixture(scope="session")
def shop(kube):
    """The namespace of a real project."""
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}}, ok=(201, 409))
    kube.kubectl("apply", "-n", "shop", "-k", str(ROOT / "tests/project/deploy"))
    kube.kubectl("wait", "-n", "shop", "--for=condition=Available", "deployment", "--all", "--timeout=400s")
    return "shop"
