"""What every test against a cluster has: the cluster, a namespace of its own, an operator."""

import os
import re
from pathlib import Path

import pytest

from .kube import ROOT, Audit, Kube, deployment, eventually
from .kubelet import Kubelet
from .operator import Operator, grant
from .policies import enforce, set_limits


def running_cluster():
    """The cluster that `make test` started. There is no skipping: without one, the tests have failed."""
    kubeconfig = os.environ.get("KUBECONFIG")
    assert kubeconfig and Path(kubeconfig).exists(), "no cluster: start the tests by `make test`"
    return Kube(kubeconfig)


@pytest.fixture(scope="session")
def kube():
    """The cluster, with the kinds and under the policies."""
    kube = running_cluster()
    kube.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "config/crd"))
    kube.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=180s")
    enforce(kube)
    await_job_controller(kube)
    return kube


def await_job_controller(kube):
    """Waits until a Job gets its pod. After an outage of the API server, which other tests make, the controllers are
    back only some half a minute later than the server, and Jobs without pods are what operators warn of."""
    ns = make_namespace(kube, unique_name("controllers"))
    container = {"name": "c", "image": "never-pulled"}
    pod = {"restartPolicy": "Never", "nodeSelector": {"no-node-has": "this"}, "containers": [container]}
    kube.create(ns, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec": pod}}})
    eventually(lambda: kube.list("Pod", ns), "the Job controller makes pods")
    kube.call("DELETE", "/api/v1/namespaces/" + ns)


@pytest.fixture(scope="session")
def audit():
    return Audit(Path(os.environ["KUBECONFIG"]).parent / "audit.log")


def make_namespace(kube, name, labels=None):
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels or {}}})
    return name


def unique_name(text):
    """A name for a namespace, after what it is for."""
    stem = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    return "%s-%s" % (stem, os.urandom(3).hex())


def furnish(kube, ns):
    """The operator's rights, and one labelled Deployment for each label."""
    grant(kube, ns)
    kube.create(ns, deployment())
    kube.create(ns, deployment("worker", "django-celery-work-celery"))
    return ns


@pytest.fixture
def empty_ns(kube, request):
    """A namespace named after the test, without anything in it."""
    name = make_namespace(kube, unique_name(request.node.name))
    yield name
    if not os.environ.get("NO_CLEANUP"):
        kube.call("DELETE", "/api/v1/namespaces/" + name, ok=(200, 202, 404))


@pytest.fixture
def ns(kube, empty_ns):
    """The same with the operator's rights and one labelled Deployment for each label."""
    return furnish(kube, empty_ns)


@pytest.fixture
def operators(kube, tmp_path):
    """Makes operators, and kills them at the end."""
    made = []

    def make(ns, **options):
        made.append(Operator(kube, ns, tmp_path, name=options.pop("name", "operator-%d" % len(made)), **options))
        return made[-1]

    yield make
    for operator in made:
        operator.kill()


@pytest.fixture
def operator(operators, ns):
    return operators(ns).start()


@pytest.fixture
def kubelet(kube, ns):
    kubelet = Kubelet(kube, ns)
    yield kubelet
    kubelet.stop()


@pytest.fixture
def limits(kube):
    """Sets limits of the policies, and takes them back at the end."""
    made = {}

    def put(values):
        made.update(values)
        set_limits(kube, values)

    yield put
    set_limits(kube, dict.fromkeys(made))
