"""The gate on the real node: rollouts by `kubectl set image` alone, a first installation at once, and upgrades."""

import subprocess
from pathlib import Path

import pytest
import yaml
from support.gates import await_gate
from support.kube import ROOT, eventually, message, reason
from support.operator import binary
from support.policies import GATE
from support.rollouts import Requests, main_starts, migrated_at

NS = "gated"
APPS = {"shop": "web", "shop-worker": "celery"}  # and the name of its container
NEXT = "localhost/django-operator:next"


@pytest.fixture(scope="module")
def installed(kube, tmp_path_factory):
    """An operator, and then at once everything that an application consists of."""
    await_gate(kube, "default", tmp_path_factory.mktemp("gate"))
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": NS, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    objects = list(yaml.safe_load_all(kube.kubectl("kustomize", str(ROOT / "config/default")).stdout))
    for each in objects:
        each["metadata"]["namespace"] = NS
        for subject in each.get("subjects", []):
            subject["namespace"] = NS
    text = yaml.safe_dump_all(each for each in objects if each["kind"] not in ("Namespace", "CustomResourceDefinition"))
    kube.apply(text.replace("localhost/django-operator:latest", "localhost/django-operator:test"), NS)
    services = (ROOT / "tests/project/deploy/services.yaml").read_text()
    kube.apply(services + "\n---\n" + kube.kubectl("kustomize", str(ROOT / "examples/gate")).stdout, NS)
    yield kube
    kube.call("DELETE", "/api/v1/namespaces/" + NS)


def becomes(kube, wanted):
    return eventually(lambda: reason(found := kube.get("DjangoMigrate", NS, "shop")) == wanted and found, wanted)


def set_image(kube, tag):
    for app, container in APPS.items():
        kube.kubectl("set", "image", "-n", NS, "deployment/" + app, "%s=localhost/myapp:%s" % (container, tag))


def await_rollout(kube, *apps):
    for app in apps or APPS:
        kube.kubectl("rollout", "status", "-n", NS, "deployment/" + app, "--timeout=300s")


def assert_in_order(kube, tag):
    for app in APPS:
        assert min(main_starts(kube, NS, app, ":" + tag)) >= migrated_at(kube, NS, "shop"), app


def pods(kube, app="shop"):
    """The pods that are to stay, by name."""
    return {p["metadata"]["name"]: p for p in kube.list("Pod", NS, "app=" + app) if "deletionTimestamp" not in p["metadata"]}


def wait_for(kube, seconds):
    annotations = {"django.my.domain/wait-timeout-seconds": seconds}
    kube.patch("Deployment", NS, "shop", {"spec": {"template": {"metadata": {"annotations": annotations}}}})


def last_words(kube):
    """What a container that waited for migrations said when it failed."""
    for pod in pods(kube).values():
        for status in pod["status"].get("initContainerStatuses", []):
            for state in (status["state"], status["lastState"]):
                if state.get("terminated", {}).get("exitCode"):
                    return state["terminated"]["message"]
    return ""


def helper_of(pod):
    (volume,) = [v for v in pod["spec"]["volumes"] if v["name"] == "django-operator-gate"]
    return volume["configMap"]["name"]


def replace_pod(kube):
    """Deletes a pod, and gives the one that is there in its place."""
    before = pods(kube)
    kube.kubectl("delete", "-n", NS, "pod", next(iter(before)), "--wait=false")
    name = eventually(lambda: next(iter(pods(kube).keys() - before.keys()), None), "another one")
    return kube.get("Pod", NS, name)


def test_a_first_installation_at_once(kube, installed):
    becomes(kube, "Succeeded")
    await_rollout(kube)
    assert_in_order(kube, "1")
    for app in APPS:
        for name, pod in pods(kube, app).items():
            (gate,) = pod["spec"]["initContainers"]
            assert gate["name"] == "django-operator-gate"
            assert "ready, without interruption" in kube.kubectl("logs", "-n", NS, name, "-c", gate["name"]).stdout
    written = kube.get("Deployment", NS, "shop")["spec"]["template"]["spec"]
    assert "initContainers" not in written, "nobody sees a difference"


def test_a_slow_migration_a_failing_one_and_the_way_back(kube, installed):
    with Requests(kube, NS, "http://shop:8000/healthz") as asked:
        set_image(kube, "slow")
        await_rollout(kube)
    asked.assert_answered()
    assert becomes(kube, "Succeeded")["status"]["report"]["names"] == ["myapp.0004_slow"]
    assert_in_order(kube, "slow")

    served = pods(kube)
    with Requests(kube, NS, "http://shop:8000/healthz") as asked:
        set_image(kube, "failing")
        assert "this release is broken" in message(becomes(kube, "CommandFailed"))
        waiting = eventually(lambda: next(iter(pods(kube).keys() - served.keys()), None), "a new pod")

        def log():
            return kube.kubectl("logs", "-n", NS, waiting, "-c", "django-operator-gate", check=False).stdout

        waits_for = "1 migration to come, the next is myapp.0004_failing"
        eventually(lambda: waits_for in log(), "it says what it waits for")
        wait_for(kube, "3")
        time_is_up = "waited 3 s for database 'default': not migrated: " + waits_for
        eventually(lambda: time_is_up in last_words(kube), "its time is up")
        wait_for(kube, None)
        assert served.keys() <= pods(kube).keys(), "the old ones serve on"
        assert not main_starts(kube, NS, "shop", ":failing")
        set_image(kube, "slow")
        await_rollout(kube)
        assert becomes(kube, "Succeeded")
        eventually(lambda: pods(kube).keys() == served.keys(), "the new one is gone, and no old one")
        # The database is ahead of the first image.
        set_image(kube, "1")
        await_rollout(kube)
    asked.assert_answered()
    assert not main_starts(kube, NS, "shop", ":failing")


def of_another_helper(directory):
    """The operator's program with another digest of its helper: a file of the zip is some seconds older."""
    program = bytearray(Path(binary()).read_bytes())
    entry = program.index(b"PK\x01\x02", program.index(b"PK\x03\x04", program.index(b"django_operator_tasks/__init__.py") - 64))
    program[entry + 12] ^= 1
    path = directory / "django-operator"
    path.write_bytes(program)
    path.chmod(0o755)
    return path


def named_helper(program, directory):
    """Name and digest of the helper that a program has."""
    path = directory / "deployment.yaml"
    path.write_text((ROOT / "tests/golden/gate/cases/plain.yaml").read_text())
    done = subprocess.run([str(program), "gate", "-f", str(path)], capture_output=True, text=True, check=True)
    lines = yaml.safe_load(done.stdout)["spec"]
    return lines["volumes"][0]["configMap"]["name"], lines["initContainers"][0]["command"][-1]


def test_upgrades_and_an_operator_that_is_down(kube, installed, tmp_path):
    later = of_another_helper(tmp_path)
    subprocess.run([str(ROOT / "tests/cluster/images"), "operator", str(later), NEXT], check=True, capture_output=True)
    (old, old_digest), (new, new_digest) = (named_helper(program, tmp_path) for program in (binary(), later))
    assert old != new
    policy = kube.kubectl("kustomize", str(ROOT / GATE)).stdout
    assert old in policy and old_digest in policy

    def enforce(text):
        kube.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)

    kube.kubectl("wait", "-n", NS, "--for=condition=Available", "deployment", "--all", "--timeout=180s")

    # The policy before the operator: pods wait for the operator.
    enforce(policy.replace(old, new).replace(old_digest, new_digest))
    try:
        pod = eventually(lambda: (p := replace_pod(kube)) and helper_of(p) == new and p, "the policy is in force")
        about = "involvedObject.name=%s,reason=FailedMount" % pod["metadata"]["name"]
        told = ("get", "events", "-n", NS, "--field-selector", about, "-o", "jsonpath={.items[*].message}")
        eventually(lambda: '"%s" not found' % new in kube.kubectl(*told).stdout, "the kubelet tells what is missing")
        kube.kubectl("set", "image", "-n", NS, "deployment/django-operator", "manager=" + NEXT)
        await_rollout(kube, "django-operator", "shop")

        # The operator before the policy: what the old one made is there.
        enforce(policy)
        eventually(lambda: helper_of(replace_pod(kube)) == old, "the old policy is in force")
        kube.kubectl("scale", "-n", NS, "deployment/shop", "--replicas=2")
        await_rollout(kube, "shop")
        assert {helper_of(pod) for pod in pods(kube).values()} == {old}

        enforce(policy.replace(old, new).replace(old_digest, new_digest))
        eventually(lambda: helper_of(replace_pod(kube)) == new, "the new policy is in force")
        await_rollout(kube, "shop")
        kube.kubectl("scale", "-n", NS, "deployment/django-operator", "--replicas=0")
        kube.kubectl("wait", "-n", NS, "--for=delete", "pod", "-l", "app.kubernetes.io/name=django-operator", "--timeout=180s")
        assert helper_of(replace_pod(kube)) == new
        await_rollout(kube, "shop")
    finally:
        enforce(policy)
