"""`wait` and `apply-and-wait`, as a deploy's step runs them: with the rights of a service account of its own."""

import json
import os
import subprocess
import time

import pytest
from support.kube import ROOT, becomes, deployment, eventually, task
from support.operator import binary, may, write_kubeconfig

FAILED = {"ok": False, "reason": "MigrationFailed", "message": "column \"zip\" already exists"}


class Waiter(subprocess.Popen):
    """One call; `ended` gives exit code, standard output and error."""

    def __init__(self, config, *argv, stdin=""):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(config)}
        super().__init__([binary(), *argv], env=self.environment, **pipes)
        self.stdin.write(stdin)
        self.stdin.flush()
        if stdin:
            self.stdin.close()
            self.stdin = None

    def ended(self):
        out, err = self.communicate(timeout=120)
        return self.returncode, out, err


def account_with(kube, ns, name, role):
    kube.create(ns, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    if role:
        kube.kubectl("apply", "-k", str(ROOT / "config/user-roles"))
        kube.kubectl("create", "rolebinding", name, "-n", ns, "--clusterrole=" + role, "--serviceaccount=%s:%s" % (ns, name))
        user = "system:serviceaccount:%s:%s" % (ns, name)
        eventually(lambda: may(kube, user, ns, "list", "django.my.domain", "djangomigrates"), "the role is in force")


@pytest.fixture
def call(kube, ns, tmp_path):
    """Starts a call with the rights of that role."""
    made = {}

    def call(*argv, role="django-viewer", **options):
        if role not in made:
            name = (role or "nobody").replace("django-", "")
            account_with(kube, ns, name, role)
            made[role] = write_kubeconfig(kube, ns, name, tmp_path / (name + ".kubeconfig"))
        waiter = Waiter(made[role], *argv, **options)
        call.environment = waiter.environment
        return waiter

    return call


def test_success_and_failure_end_it_at_once(kube, ns, operator, kubelet, call):
    kube.create(ns, task("DjangoMigrate", "m"))
    waiter = call("wait", "djm/m")
    pod = kubelet.pod_of_run("DjangoMigrate", "m", 1)
    kubelet.run(pod)
    becomes(kube, ns, "m", "Running")
    assert waiter.poll() is None
    kubelet.end(pod)
    code, out, err = waiter.ended()
    assert code == 0 and out.startswith("djangomigrate/m Succeeded: "), (code, out, err)
    assert "djangomigrate/m Running: the command runs" in err
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"trigger": "2"}})
    waiter = call("wait", "djangomigrates/m", "--namespace", ns, "--timeout=1h")
    pod = kubelet.pod_of_run("DjangoMigrate", "m", 2)
    kubelet.run(pod)
    kubelet.end(pod, code=1, line=FAILED)
    code, out, err = waiter.ended()
    assert (code, out) == (2, ""), err
    assert err.splitlines()[-1] == 'django-operator: djangomigrate/m CommandFailed: column "zip" already exists'
    assert call("wait", "DjangoMigrate/m").ended()[0] == 2, "it has failed already"


def test_a_request_by_annotation_is_waited_for(kube, ns, operator, kubelet, call):
    kubelet.work()
    kube.create(ns, task("DjangoMigrate", "m"))
    becomes(kube, ns, "m", "Succeeded")
    operator.kill()
    kube.patch("DjangoMigrate", ns, "m", {"metadata": {"annotations": {"django.my.domain/requestedAt": "now"}}})
    waiter = call("wait", "djm/m")
    assert "has not acted upon the annotation requestedAt yet" in waiter.stderr.readline()
    operator.start()
    assert waiter.ended()[0] == 0
    assert kube.get("DjangoMigrate", ns, "m")["status"]["lastRun"]["number"] == 2


def test_the_time_runs_out(kube, ns, operator, call):
    kube.create(ns, task("DjangoMigrate", "m"))
    becomes(kube, ns, "m", "Starting")
    code, out, err = call("wait", "djm/m", "--timeout=1s").ended()
    assert (code, out) == (3, "") and "has not ended in time: Starting" in err
    kube.create(ns, task("DjangoMigrate", "none", target={"deployment": "nosuch"}))
    becomes(kube, ns, "none", "TargetNotFound")
    code, out, err = call("wait", "djm/none", "--timeout=1s").ended()
    assert (code, out) == (4, "") and "TargetNotFound" in err
    kube.create(ns, deployment("another"))
    kube.create(ns, task("DjangoMigrate", "waits"))
    becomes(kube, ns, "waits", "TargetAmbiguous")
    assert call("wait", "djm/waits", "--timeout=1s").ended()[0] == 4


def test_what_is_wrong_with_the_call(kube, ns, operator, call):
    for argv, code, words in [
        (("wait", "djm/m"), 1, 'djangomigrate/m does not exist in namespace ' + ns),
        (("wait", "job/m"), 1, "is no kind of task; write one of DjangoUser, "),
        (("wait", "djm"), 1, "write it as KIND/NAME"),
        (("wait", "djm/m", "--timeout=soon"), 1, "write it as 90s, 10m or 1h30m"),
        (("wait",), 1, "KIND/NAME"),
    ]:
        found = call(*argv).ended()
        assert found[0] == code and words in found[2], (argv, found)
    for role, argv, stdin in ((None, ("wait", "djm/m"), ""), ("django-viewer", ("apply-and-wait", "-f", "-"), json.dumps(task("DjangoMigrate", "m")))):
        code, out, err = call(*argv, role=role, stdin=stdin).ended()
        assert code == 5 and "is forbidden" in err, (role, code, err)


def test_several_tasks_and_one_that_fails_or_goes(kube, ns, operator, kubelet, call):
    for name in ("a", "b", "c"):
        kube.create(ns, task("DjangoMigrate", name))
    waiter, one = call("wait", "djm/a", "djm/b"), call("wait", "djm/c")
    becomes(kube, ns, "c", "Starting")
    assert "djangomigrate/c " in one.stderr.readline(), "it has seen it"
    kube.delete("DjangoMigrate", ns, "c")
    code, _, err = one.ended()
    assert code == 2 and err.endswith("djangomigrate/c was deleted\n")
    pod = kubelet.pod_of_run("DjangoMigrate", "b", 1)
    kubelet.run(pod)
    kubelet.end(pod, code=1, line=FAILED)
    assert waiter.ended()[0] == 2, "though a still runs"


def test_manifests_are_applied_and_waited_for(kube, ns, operator, kubelet, call, tmp_path):
    kubelet.work()
    file = tmp_path / "release.yaml"
    manifests = (ROOT / "examples/release.yaml").read_text()
    file.write_text(manifests + "---\n")
    code, out, err = call("apply-and-wait", "-f", str(file), role="django-admin").ended()
    assert code == 0 and sorted(line.split()[0] for line in out.splitlines()) == [
        "djangocommand/release-housekeeping", "djangomigrate/release-migrate", "djangostatic/release-static",
    ], (out, err)
    code, out, err = call("apply-and-wait", "-f", str(file), role="django-admin").ended()
    assert code == 0 and len(out.splitlines()) == 3, "nothing is to be done"
    file.write_text(manifests.replace("2.5.0", "2.6.0"))
    assert call("apply-and-wait", "-f", str(file), role="django-admin").ended()[0] == 0
    for kind, name in (("DjangoMigrate", "migrate"), ("DjangoStatic", "static"), ("DjangoCommand", "housekeeping")):
        found = kube.get(kind, ns, "release-" + name)["status"]["lastRun"]
        assert (found["number"], found["trigger"], found["result"]) == (2, "2.6.0", "Succeeded")


@pytest.mark.parametrize("text, words", [
    ("", "has no manifest"),
    ("a: [", "task.yaml: "),
    ("apiVersion: v1\nkind: Pod\nmetadata: {name: p}", "is no kind of task"),
    ("apiVersion: django.my.domain/v1\nkind: DjangoMigrate\nmetadata: {name: p}", "apiVersion: write django.my.domain/v1alpha1"),
    ("apiVersion: django.my.domain/v1alpha1\nkind: DjangoMigrate", "metadata.name: is missing"),
    ("apiVersion: django.my.domain/v1alpha1\nkind: DjangoMigrate\nmetadata: {name: p, namespace: other}\nspec: {}", "write --namespace="),
    ("apiVersion: django.my.domain/v1alpha1\nkind: DjangoMigrate\nmetadata: {name: p}\nspec: {app: '-x'}", "spec.app"),
])
def test_what_is_wrong_with_a_manifest(kube, ns, call, tmp_path, text, words):
    file = tmp_path / "task.yaml"
    file.write_text(text)
    code, out, err = call("apply-and-wait", "-f", str(file), role="django-admin").ended()
    assert (code, out) == (1, "") and words in err, err
    assert kube.list("DjangoMigrate", ns) == []


def test_an_api_server_that_comes_late(kube, ns, operator, kubelet, call, tmp_path):
    """Nothing answers when the wait begins."""
    kubelet.work()
    kube.create(ns, task("DjangoMigrate", "m"))
    becomes(kube, ns, "m", "Succeeded")
    call("wait", "djm/m").ended()
    path = tmp_path / "viewer.kubeconfig"
    path.write_text(path.read_text().replace(kube.server, "https://127.0.0.1:9"))
    begun = time.monotonic()
    code, out, err = call("wait", "djm/m", "--timeout=3s").ended()
    assert (code, out) == (3, "") and time.monotonic() - begun >= 3, err


def test_a_step_that_is_stopped_or_that_nobody_reads(kube, ns, operator, kubelet, call):
    kube.create(ns, task("DjangoMigrate", "m"))
    waiter = call("wait", "djm/m")
    assert "djangomigrate/m " in waiter.stderr.readline()
    waiter.terminate()
    code, _, err = waiter.ended()
    assert code == 143 and "stopped" in err
    kubelet.work()
    becomes(kube, ns, "m", "Succeeded")
    with open("/dev/full", "w") as full:
        done = subprocess.run([binary(), "wait", "djm/m"], env=dict(call.environment), stdout=full, stderr=full)
    assert done.returncode == 0, "that nobody reads it is no failure"
    silent = call("apply-and-wait", "-f", "-", "--timeout=2s", role="django-admin")
    assert silent.wait(timeout=60) == 3, "whose standard input stays open"


def test_yesterdays_failure_of_what_it_depends_on(kube, ns, operator, kubelet, call):
    """The first is mended and the second follows; the operator looks only later."""
    migrate = task("DjangoMigrate", "m")
    static = task("DjangoStatic", "s", dependsOn=[{"kind": "DjangoMigrate", "name": "m"}])
    kube.create(ns, static)
    kube.create(ns, migrate)
    pod = kubelet.pod_of_run("DjangoMigrate", "m", 1)
    kubelet.run(pod)
    kubelet.end(pod, code=1, line=FAILED)
    becomes(kube, ns, "s", "DependencyFailed", "DjangoStatic")
    assert call("wait", "djs/s").ended()[0] == 2, "nobody mends it"
    operator.kill()
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"trigger": "2"}})
    waiter = call("wait", "djs/s", "djm/m")
    assert "has not looked at its newest spec yet" in waiter.stderr.readline()
    kubelet.work()
    operator.start()
    code, out, err = waiter.ended()
    assert code == 0 and len(out.splitlines()) == 2, (code, out, err)


def test_a_list_and_json_are_manifests_too(kube, ns, operator, kubelet, call):
    kubelet.work()
    items = [task("DjangoMigrate", "m"), task("DjangoStatic", "s")]
    for text in (json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), "---\n".join(json.dumps(item) + "\n" for item in items)):
        assert call("apply-and-wait", "-f", "-", role="django-admin", stdin=text).ended()[0] == 0
    code, _, err = call("apply-and-wait", "-f", "-", role="django-admin", stdin="a: --password=hunter2\nb: [").ended()
    assert code == 1 and "is no YAML or JSON" in err and "hunter2" not in err
