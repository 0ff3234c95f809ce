"""The examples that order migrations and pods, each with a migration that is slow and one that fails: no main container of
the new version starts before the migration's end; after a failure the old pods serve on, and the deploy has failed."""

import os
import shutil
import subprocess
import threading

import pytest
import requests
import yaml
from delivery.conftest import CHARTS, IMAGE, delete_kinds
from delivery.gitops import ArgoCD, ArgoCDPreSync, Flux
from support.kube import ROOT, message, reason
from support.operator import binary
from support.rollouts import main_starts, migrated_at

NS = "release"
DATABASE = ROOT / "tests/project/deploy/services.yaml"


@pytest.fixture
def release_ns(kube, cluster_helm):
    """A namespace with an operator of its own, as the charts install it, with all policies."""
    helm = cluster_helm
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": NS, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    policies = "policies.enabled=true,policies.operators={%s}" % NS
    try:
        helm("install", "django-operator-cluster", CHARTS / "django-operator-cluster", "-n", NS, "--set", policies)
        helm("install", "django-operator", CHARTS / "django-operator", *IMAGE, "-n", NS, "--wait")
        yield NS
    finally:
        for name in ("django-operator", "django-operator-cluster"):
            helm("uninstall", name, "-n", NS, "--ignore-not-found")
        delete_kinds(kube)
        kube.kubectl("delete", "namespace", NS)


class Requests:
    """Constant requests through the Service, until the end of the block."""

    def __init__(self, kube, service):
        self.path = "/api/v1/namespaces/%s/services/%s:8000/proxy/healthz" % (NS, service)
        self.kube, self.answers, self.stopping = kube, [], threading.Event()
        # Without the client's own repetitions, which would hide what nobody answered.
        self.http = requests.Session()
        self.http.verify, self.http.trust_env, self.http.headers = False, False, kube.http.headers
        self.thread = threading.Thread(target=self.ask, daemon=True)

    def ask(self):
        while not self.stopping.wait(0.1):
            try:
                self.answers.append(self.http.get(self.kube.server + self.path, timeout=30).status_code)
            except requests.RequestException as error:
                self.answers.append(str(error))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def with_database(example, directory):
    """The example with a database and a Secret of the release's own, neither of which is there before it."""
    chart = shutil.copytree(ROOT / "examples" / example, directory / example)
    (chart / "templates/database.yaml").write_text(DATABASE.read_text())
    return chart


def assert_untouched(asked, app):
    """The old pods served all the time, and none of the new version's main containers started."""
    assert len(asked.answers) > 5 and set(asked.answers) == {200}
    assert not main_starts(asked.kube, NS, app, ":failing")


def assert_in_order(asked, app):
    """No request was lost, and the new version's main containers started after the migration's end."""
    assert len(asked.answers) > 5 and set(asked.answers) == {200}
    assert asked.kube.get("DjangoMigrate", NS, app)["status"]["report"]["names"] == ["myapp.0004_slow"]
    assert min(main_starts(asked.kube, NS, app, ":slow")) >= migrated_at(asked.kube, NS, app)


def test_a_helm_hook(kube, release_ns, cluster_helm, tmp_path):
    helm = cluster_helm
    chart = with_database("helm-hook", tmp_path)
    values = ("-n", NS, "--set", "operator.image=localhost/django-operator:test,operator.policies=true", "--timeout", "5m")

    helm("install", "shop", chart, *values)
    assert reason(kube.get("DjangoMigrate", NS, "shop")) == "Succeeded"
    kube.kubectl("rollout", "status", "-n", NS, "deployment/shop", "--timeout=180s")
    assert min(main_starts(kube, NS, "shop", ":1")) >= migrated_at(kube, NS, "shop")

    with Requests(kube, "shop") as asked:
        failed = helm("upgrade", "shop", chart, *values, "--set", "image.tag=failing", check=False)
    assert failed.returncode, failed.stdout
    assert_untouched(asked, "shop")
    log = kube.kubectl("logs", "-n", NS, "job/shop-release").stdout
    assert "this release is broken" in log, log
    image = kube.get("Deployment", NS, "shop")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "localhost/myapp:1", "the Deployment was not touched"

    with Requests(kube, "shop") as asked:
        helm("upgrade", "shop", chart, *values, "--set", "image.tag=slow")
        kube.kubectl("rollout", "status", "-n", NS, "deployment/shop", "--timeout=180s")
    assert_in_order(asked, "shop")

    # What was uninstalled and comes again, with a new database, is migrated again.
    helm("uninstall", "shop", "-n", NS, "--wait")
    assert not kube.list("ServiceAccount", NS, "app.kubernetes.io/instance=shop"), "the hook's account is gone"
    helm("install", "shop", chart, *values)
    kube.kubectl("rollout", "status", "-n", NS, "deployment/shop", "--timeout=180s")


def test_migrations_in_the_release(kube, release_ns, cluster_helm, tmp_path):
    helm = cluster_helm
    chart = with_database("helm-wait", tmp_path)
    values = ("-n", NS, "--wait", "--timeout")
    helm("install", "shop", chart, *values, "5m")
    assert reason(kube.get("DjangoMigrate", NS, "shop")) == "Succeeded"
    assert min(main_starts(kube, NS, "shop", ":1")) >= migrated_at(kube, NS, "shop")

    # Both wait for the new pods until the time is up.
    with Requests(kube, "shop") as asked:
        failed = helm("upgrade", "shop", chart, *values, "30s", "--set", "image.tag=failing", check=False)
    assert failed.returncode, failed.stdout
    assert_untouched(asked, "shop")
    assert reason(kube.get("DjangoMigrate", NS, "shop")) == "CommandFailed"

    with Requests(kube, "shop") as asked:
        helm("upgrade", "shop", chart, *values, "5m", "--set", "image.tag=slow")
    assert_in_order(asked, "shop")


def examples_of(tag, directory):
    """The examples with the image's tag of a release, which stands in one place."""
    examples = shutil.copytree(ROOT / "examples", directory / tag)
    path = examples / "gitops/kustomization.yaml"
    text = path.read_text()
    assert text.count('newTag: "1"') == 1
    path.write_text(text.replace('newTag: "1"', 'newTag: "%s"' % tag))
    return examples


@pytest.fixture
def database(kube, release_ns):
    """What is there before the application is."""
    kube.kubectl("apply", "-n", NS, "-f", str(DATABASE))


@pytest.mark.parametrize("cluster_helm", ["helm4"], indirect=True)
@pytest.mark.parametrize("engine", [ArgoCD, ArgoCDPreSync, Flux])
def test_gitops(kube, database, tmp_path, engine):
    with engine(kube, NS, tmp_path) as gitops:
        failure = gitops.deploy(examples_of("1", tmp_path))
        assert failure is None, failure
        kube.kubectl("rollout", "status", "-n", NS, "deployment/shop", "--timeout=180s")
        assert min(main_starts(kube, NS, "shop", ":1")) >= migrated_at(kube, NS, "shop")
        with Requests(kube, "shop") as asked:
            failure = gitops.deploy(examples_of("failing", tmp_path))
        assert "DjangoMigrate" in failure, failure
        assert "this release is broken" in message(kube.get("DjangoMigrate", NS, "shop"))
        assert_untouched(asked, "shop")
        with Requests(kube, "shop") as asked:
            failure = gitops.deploy(examples_of("slow", tmp_path))
            assert failure is None, failure
            kube.kubectl("rollout", "status", "-n", NS, "deployment/shop", "--timeout=180s")
        assert_in_order(asked, "shop")


@pytest.mark.parametrize("cluster_helm", ["helm4"], indirect=True)
def test_the_script_of_a_pipeline(kube, database, tmp_path):
    program = tmp_path / "bin/django-operator"
    program.parent.mkdir()
    program.symlink_to(binary())
    env = {**os.environ, "PATH": "%s:%s" % (program.parent, os.environ["PATH"]), "KUBECONFIG": kube.kubeconfig}

    def run(tag):
        script = examples_of(tag, tmp_path) / "ci/deploy.sh"
        return subprocess.run([str(script), NS], env=env, capture_output=True, text=True)

    done = run("1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert min(main_starts(kube, NS, "shop", ":1")) >= migrated_at(kube, NS, "shop")
    with Requests(kube, "shop") as asked:
        done = run("failing")
    assert done.returncode == 2 and "this release is broken" in done.stdout + done.stderr, done
    assert_untouched(asked, "shop")
    with Requests(kube, "shop") as asked:
        done = run("slow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_in_order(asked, "shop")
    actions, gitlab = (yaml.safe_load((ROOT / ("examples/ci/%s.yaml" % example)).read_text()) for example in ("github-actions", "gitlab-ci"))
    steps = [step.get("run", "") for step in actions["jobs"]["deploy"]["steps"]]
    for step in (steps[-1], gitlab["deploy"]["script"][-1]):
        program, namespace = step.split()
        assert os.access(ROOT / program, os.X_OK) and namespace == "shop"
