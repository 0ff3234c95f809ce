"""The examples that order migrations and pods, each with a migration that is slow and one that fails: no main container of
the new version starts before the migration's end; after a failure the old pods serve on, and the deploy has failed."""

import subprocess
import threading
from datetime import datetime

import pytest
from delivery.conftest import CHARTS, IMAGE
from support.kube import ROOT, reason

NS = "release"
DATABASE = ROOT / "tests/project/deploy/services.yaml"


@pytest.fixture
def release_ns(kube, cluster_helm):
    """A namespace with an operator of its own, as the charts install it, with all policies."""
    helm = cluster_helm
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": NS, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    policies = "policies.enabled=true", "policies.operators={%s}" % NS, "policies.limits.enabled=true"
    cluster = [word for value in policies for word in ("--set", value)]
    helm("install", "django-operator-cluster", CHARTS / "django-operator-cluster", "-n", NS, *cluster)
    helm("install", "django-operator", CHARTS / "django-operator", *IMAGE, "-n", NS, "--wait")
    yield NS
    for name in ("django-operator", "django-operator-cluster"):
        helm("uninstall", name, "-n", NS)
    kube.kubectl("delete", "namespace", NS)
    kube.kubectl("delete", "--ignore-not-found", "-k", str(ROOT / "config/crd"))


class Requests:
    """Constant requests through the Service, until the end of the block."""

    def __init__(self, kube, service):
        self.path = "/api/v1/namespaces/%s/services/%s:8000/proxy/healthz" % (NS, service)
        self.kube, self.answers, self.stopping = kube, [], threading.Event()
        self.thread = threading.Thread(target=self.ask, daemon=True)

    def ask(self):
        while not self.stopping.wait(0.1):
            reply = self.kube.http.get(self.kube.server + self.path, timeout=30)
            self.answers.append(reply.status_code)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def when(text):
    return datetime.fromisoformat(text)


def main_starts(kube, app, image):
    """When the main containers of that image started."""
    starts = []
    for pod in kube.list("Pod", NS, "app=" + app):
        for status in pod["status"].get("containerStatuses", []):
            state = status["state"].get("running") or status["state"].get("terminated")
            if state and status["image"].endswith(image):
                starts.append(when(state["startedAt"]))
    return starts


def migrated_at(kube, name):
    run = kube.get("DjangoMigrate", NS, name)["status"]["lastRun"]
    assert run["result"] == "Succeeded"
    return when(run["finishedAt"])


def with_database(example, directory):
    """The example with a database and a Secret of the release's own, neither of which is there before it."""
    chart = directory / example
    subprocess.run(["cp", "-r", str(ROOT / "examples" / example), str(chart)], check=True)
    (chart / "templates/database.yaml").write_text(DATABASE.read_text())
    return chart


def assert_untouched(requests, app):
    """The old pods served all the time, and none of the new version's main containers started."""
    assert len(requests.answers) > 5 and set(requests.answers) == {200}
    assert not main_starts(requests.kube, app, ":failing")


def assert_in_order(requests, app):
    """No request was lost, and the new version's main containers started after the migration's end."""
    assert set(requests.answers) == {200}
    assert requests.kube.get("DjangoMigrate", NS, app)["status"]["report"]["names"] == ["myapp.0004_slow"]
    assert min(main_starts(requests.kube, app, ":slow")) >= migrated_at(requests.kube, app)


def test_a_helm_hook(kube, release_ns, cluster_helm, tmp_path):
    helm = cluster_helm
    chart = with_database("helm-hook", tmp_path)
    values = ("-n", NS, "--set", "operator.image=localhost/django-operator:test", "--timeout", "5m")

    helm("install", "shop", chart, *values)
    assert reason(kube.get("DjangoMigrate", NS, "shop")) == "Succeeded"
    kube.kubectl("rollout", "status", "-n", NS, "deployment/shop", "--timeout=180s")
    assert min(main_starts(kube, "shop", ":1")) >= migrated_at(kube, "shop")

    with Requests(kube, "shop") as requests:
        failed = helm("upgrade", "shop", chart, *values, "--set", "image.tag=failing", check=False)
    assert failed.returncode, failed.stdout
    assert_untouched(requests, "shop")
    log = kube.kubectl("logs", "-n", NS, "job/shop-release").stdout
    assert "this release is broken" in log, log
    image = kube.get("Deployment", NS, "shop")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "localhost/myapp:1", "the Deployment was not touched"

    with Requests(kube, "shop") as requests:
        helm("upgrade", "shop", chart, *values, "--set", "image.tag=slow")
        kube.kubectl("rollout", "status", "-n", NS, "deployment/shop", "--timeout=180s")
    assert_in_order(requests, "shop")


def test_migrations_in_the_release(kube, release_ns, cluster_helm, tmp_path):
    helm = cluster_helm
    chart = with_database("helm-wait", tmp_path)
    values = ("-n", NS, "--wait", "--timeout")
    helm("install", "shop", chart, *values, "5m")
    assert reason(kube.get("DjangoMigrate", NS, "shop")) == "Succeeded"
    assert min(main_starts(kube, "shop", ":1")) >= migrated_at(kube, "shop")

    # Helm 4 sees that the migration failed; Helm 3 waits for pods until the time is up.
    is_helm_3 = helm.program == "helm3"
    with Requests(kube, "shop") as requests:
        failed = helm("upgrade", "shop", chart, *values, "30s" if is_helm_3 else "5m", "--set", "image.tag=failing", check=False)
    assert failed.returncode, failed.stdout
    assert is_helm_3 or "this release is broken" in failed.stderr, failed.stderr
    assert_untouched(requests, "shop")
    assert reason(kube.get("DjangoMigrate", NS, "shop")) == "CommandFailed"

    with Requests(kube, "shop") as requests:
        helm("upgrade", "shop", chart, *values, "5m", "--set", "image.tag=slow")
    assert_in_order(requests, "shop")
