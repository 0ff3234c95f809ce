"""The gate: what the policy puts into pods, where the helper is, and what people are told."""

import subprocess

import pytest
import yaml
from support.fixtures import make_namespace, unique_name
from support.gates import CASES, WAIT, assert_same, await_gate, created, pod_of
from support.kube import becomes, condition, deployment, eventually, task
from support.operator import binary, grant

MANAGE = "django.my.domain/manage"
# How commands start, as the annotation may say it, and as it may not.
STARTS = [
    "python manage.py", "/venv/bin/python -m pretix", "pretix", "/venv/bin/django-admin", "python run.py manage",
    "python3.12 -X dev -W ignore manage.py --x -m", "DJANGO_SETTINGS_MODULE=a.b python -m django", "  kolibri   --debug manage  ",
    "pypy3 manage.py", "python-build manage.py", '["python", "my manage.py"]', '["pretix"]', '[ "python" , "-m" , "django" ]', '"python"',
    '["DJANGO_SETTINGS_MODULE=a.b", "pretix", "x y"]', "python manage.py $(X) $$", " ",
]
NO_STARTS = [
    "python", "python -m", "python -u", "DJANGO_SETTINGS_MODULE=a", "sh -c x", "/bin/bash x", "env A=b x", "exec x",
    "python manage.py migrate", "pretix collectstatic", "[]", "[1]", '["a", 1]', '["a",]', r'["a\\b"]', "[python]",
]
COMMANDS = [[], ["/venv/bin/gunicorn", "shop.wsgi"], ["sh", "-c", "exec /venv/bin/python x"], ["a", "b", "c", "d", "/late/bin/python"], ["/a$(B)/python"]]


@pytest.fixture(scope="module")
def gated(kube):
    """A namespace in which the policy is in force."""
    await_gate(kube, "default")
    return "default"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_policy_does_what_the_program_prints(kube, gated, tmp_path, path):
    template = yaml.safe_load(path.read_text())["spec"]["template"]
    assert assert_same(kube, gated, template, tmp_path) == (not path.stem.startswith("refused_"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "none")
def test_both_read_alike_how_commands_start(kube, gated, tmp_path, command):
    for start in STARTS + NO_STARTS:
        template = deployment()["spec"]["template"]
        template["metadata"]["annotations"] = {WAIT: "true", MANAGE: start}
        template["spec"]["containers"][0]["command"] = command
        assert assert_same(kube, gated, template, tmp_path) == (start in STARTS), start


def test_pods_that_have_no_business_with_it_are_left_alone(kube, gated):
    template = deployment()["spec"]["template"]
    for annotations, labels in (
        ({}, {}), ({WAIT: "false"}, {}), ({WAIT: "yes"}, {}), ({WAIT: "true"}, {"django.my.domain/kind": "DjangoMigrate"}),
    ):
        pod = pod_of({**template, "metadata": {"annotations": annotations}})
        pod["metadata"]["labels"] = labels
        assert "initContainers" not in created(kube, gated, pod), (annotations, labels)


def gated_deployment(name="web", containers=None, **pod):
    made = deployment(name, containers=containers, **pod)
    made["spec"]["template"]["metadata"]["annotations"] = {WAIT: "true"}
    return made


@pytest.fixture(scope="module")
def helper(tmp_path_factory):
    """The name of the ConfigMap that gated pods mount."""
    path = tmp_path_factory.mktemp("gate") / "deployment.yaml"
    path.write_text(yaml.safe_dump(gated_deployment()))
    lines = yaml.safe_load(subprocess.run([binary(), "gate", "-f", str(path)], capture_output=True, text=True, check=True).stdout)
    return lines["spec"]["volumes"][0]["configMap"]["name"]


def test_the_helper_is_wherever_pods_wait(kube, ns, audit, operators, helper):
    other, plain = (make_namespace(kube, unique_name("the-helper-" + what)) for what in ("other", "plain"))
    user = grant(kube, ns, (other, plain))
    position = audit.position()
    kube.create(other, gated_deployment())
    operators(ns, WATCH_NAMESPACE="%s,%s,%s" % (ns, other, plain)).start()
    eventually(lambda: kube.get("ConfigMap", other, helper), "it is there after the start")
    assert not kube.get("ConfigMap", ns, helper), "nothing waits there"

    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"count/configmaps": "0"}}}
    kube.create(ns, quota)
    eventually(lambda: "used" in kube.get("ResourceQuota", ns, "none").get("status", {}), "the quota holds")
    kube.patch("Deployment", ns, "web", {"spec": {"template": {"metadata": {"annotations": {WAIT: "true"}}}}})
    eventually(lambda: any(asked(e, ns) and e["responseStatus"]["code"] == 403 for e in audit.entries(user, position)), "it is refused")
    kube.delete("ResourceQuota", ns, "none")
    made = eventually(lambda: kube.get("ConfigMap", ns, helper), "it is asked for again")
    assert made["immutable"]

    kube.delete("ConfigMap", other, helper)
    kube.patch("Deployment", other, "web", {"spec": {"replicas": 1}})
    path = [{"name": "django", "image": "localhost/myapp:2"}]
    kube.patch("Deployment", other, "web", {"spec": {"template": {"spec": {"containers": path}}}})
    eventually(lambda: kube.get("ConfigMap", other, helper), "each rollout looks after it")
    assert not [e for e in audit.entries(user, position) if asked(e, plain)]
    for name in (other, plain):
        kube.call("DELETE", "/api/v1/namespaces/" + name)


def asked(entry, ns):
    """Whether a request is about ConfigMaps of a namespace."""
    ref = entry.get("objectRef", {})
    return ref.get("resource") == "configmaps" and ref.get("namespace") == ns


def gate(kube, ns):
    """What a DjangoMigrate says of the gate."""
    return condition(kube.get("DjangoMigrate", ns, "m"), "GateMisconfigured")


def test_people_are_told_what_keeps_pods_from_waiting(kube, ns, operator, kubelet):
    proxy = {"name": "sql-proxy", "image": "proxy:1"}
    database = {"alias": "default", "engine": "postgresql", "host": "127.0.0.1", "name": "shop"}
    line = {"ok": True, "action": "applied", "count": 1, "names": ["shop.0001"], "settings": "s", "databases": [database]}
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = kubelet.pod_of_run("DjangoMigrate", "m", 1)
    kubelet.run(pod)
    kubelet.end(pod, 0, line)
    before = becomes(kube, ns, "m", "Succeeded")
    assert not gate(kube, ns)

    def change(**template):
        kube.patch("Deployment", ns, "web", {"spec": {"template": template}})

    def told(reason, words):
        found = eventually(lambda: gate(kube, ns).get("reason") == reason and gate(kube, ns), reason)
        assert found["status"] == "True" and found["message"].startswith("Deployment web: ") and words in found["message"], found

        def is_event(event):
            # Of one that was told before, only the count changes.
            about = event["regarding"].get("name") == "m" and event["reason"] == reason
            return about and event["type"] == "Warning" and (event["note"] == found["message"] or "series" in event)

        eventually(lambda: any(map(is_event, kube.list("Event", ns))), "an event says so")

    django = {"name": "django", "image": "localhost/myapp:1"}
    kube.patch("Deployment", ns, "web", {"metadata": {"annotations": {WAIT: "true"}}})
    told("InvalidAnnotation", "stands on the Deployment alone")
    change(metadata={"annotations": {WAIT: "true"}})
    eventually(lambda: not gate(kube, ns), "all is well")
    change(spec={"containers": [django, proxy]})
    told("ContainerAmbiguous", "to one of: django, sql-proxy")
    change(metadata={"annotations": {"kubectl.kubernetes.io/default-container": "django"}})
    told("ClassicSidecar", "(sql-proxy); make that one a native sidecar")
    native = [{**proxy, "restartPolicy": "Always"}]
    change(spec={"containers": [django], "initContainers": native})
    eventually(lambda: not gate(kube, ns), "all is well")
    change(spec={"initContainers": [{**django, "name": "init", "args": ["python", "manage.py", "migrate"]}]})
    told("MigratesItself", "in container init")
    change(spec={"initContainers": None})
    eventually(lambda: not gate(kube, ns), "all is well")
    change(metadata={"annotations": {"django.my.domain/wait-timeout-seconds": "30m"}})
    told("InvalidAnnotation", "wait 1800 s; write a number of seconds")
    kube.delete("Deployment", ns, "web")
    eventually(lambda: not gate(kube, ns), "nothing waits")
    after = kube.get("DjangoMigrate", ns, "m")
    assert after["status"]["lastRun"] == before["status"]["lastRun"], "it has nothing to do with runs"
    assert condition(after, "Ready") == condition(before, "Ready")
