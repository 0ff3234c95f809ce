"""The gate: what the policy puts into pods, where the helper is, and what people are told."""

import subprocess

import pytest
import yaml
from support.fixtures import make_namespace, unique_name
from support.gates import CASES, WAIT, assert_same, await_gate, created, pod_of
from support.kube import becomes, condition, deployment, eventually, refuses, task
from support.operator import binary, grant
from support.policies import config_map

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
    "python manage.py migrate", "pretix collectstatic", "python -X -W x manage.py", " ".join(33 * ["pretix"]), "pretix\tmanage",
    "pretix\u00a0manage", '["a\tb"]', "python manage.py\npretix", "[]", "[1]", '["a", 1]', '["a",]', r'["a\\b"]', "[python]",
]
SCRIPT = "python manage.py migrate --check || true; " + 9999 * "migrat x; "
COMMANDS = [[], ["sh", "-c", SCRIPT], ["/venv/bin/gunicorn", "shop.wsgi"], ["sh", "-c", "exec /venv/bin/python x"], ["a", "b", "c", "d", "/late/bin/python"], ["/a$(B)/python"]]


@pytest.fixture(scope="module")
def gated(kube, tmp_path_factory):
    """A namespace in which the policy is in force."""
    await_gate(kube, "default", tmp_path_factory.mktemp("gate"))
    return "default"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_policy_does_what_the_program_prints(kube, gated, tmp_path, path):
    template = yaml.safe_load(path.read_text())["spec"]["template"]
    assert assert_same(kube, gated, template, tmp_path) == (not path.stem.startswith("refused_"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command)[:40] or "none")
def test_both_read_alike_how_commands_start(kube, gated, tmp_path, command):
    for start in STARTS + NO_STARTS:
        template = deployment()["spec"]["template"]
        template["metadata"]["annotations"] = {WAIT: "true", MANAGE: start}
        template["spec"]["containers"][0]["command"] = command
        assert assert_same(kube, gated, template, tmp_path) == (start in STARTS), start


def test_pods_that_have_no_business_with_it_are_left_alone(kube, gated):
    template = deployment()["spec"]["template"]
    asks, of_task = {WAIT: "true"}, {"django.my.domain/kind": "DjangoMigrate"}
    for annotations, labels, more in (
        ({}, {}, {}), ({WAIT: "false"}, {}, {}), ({WAIT: "yes"}, {}, {}), (asks, of_task, {}), (asks, {}, {"os": {"name": "windows"}}),
    ):
        pod = pod_of({"metadata": {"annotations": annotations}, "spec": {**template["spec"], **more}})
        pod["metadata"]["labels"] = labels
        assert "initContainers" not in created(kube, gated, pod), (annotations, labels, more)


def test_a_long_script_does_not_hold_up_the_api_server(kube, gated):
    """What a policy costs, the API server pays, whoever asks for it: word by word, these took more than it has."""
    template = deployment()["spec"]["template"]
    template["metadata"]["annotations"] = {WAIT: "true"}
    for script in (300_000 * "a ", 75_000 * "migrate ", 40_000 * "migrate --check;", 600_000 * "'"):
        template["spec"]["containers"][0]["args"] = [script]
        created(kube, gated, pod_of(template))


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


@pytest.fixture
def further(kube):
    """Two more namespaces."""
    made = [make_namespace(kube, unique_name("the-helper-" + what)) for what in ("other", "plain")]
    yield made
    for name in made:
        kube.call("DELETE", "/api/v1/namespaces/" + name)


def test_the_helper_is_wherever_pods_wait(kube, ns, audit, operators, helper, further):
    other, plain = further
    user = grant(kube, ns, (other, plain))
    position = audit.position()
    kube.create(other, gated_deployment())
    operators(ns, WATCH_NAMESPACE="%s,%s,%s" % (ns, other, plain)).start()
    eventually(lambda: kube.get("ConfigMap", other, helper), "it is there after the start")
    assert not kube.get("ConfigMap", ns, helper), "nothing waits there"

    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"count/configmaps": "0"}}}
    kube.create(ns, quota)
    refuses(kube, ns, config_map("another"))
    kube.patch("Deployment", ns, "web", {"spec": {"template": {"metadata": {"annotations": {WAIT: "true"}}}}})
    eventually(lambda: any(asked(e, ns) and e["responseStatus"]["code"] == 403 for e in audit.entries(user, position)), "it is refused")
    kube.delete("ResourceQuota", ns, "none")
    made = eventually(lambda: kube.get("ConfigMap", ns, helper), "it is asked for again")
    assert made["immutable"]

    kube.delete("ConfigMap", other, helper)
    kube.patch("Deployment", other, "web", {"spec": {"replicas": 1}})
    eventually(lambda: kube.get("ConfigMap", other, helper), "a Deployment whose pods are not available has somebody look after it")
    assert not [e for e in audit.entries(user, position) if asked(e, plain)]

    metadata = {"labels": {"app.kubernetes.io/component": "django-server"}, "annotations": {WAIT: "true"}}
    template = {"metadata": metadata, "spec": gated_deployment()["spec"]["template"]["spec"]}
    kube.create(plain, {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "next"}, "template": template})
    eventually(lambda: kube.get("ConfigMap", plain, helper), "of a Deployment that is to come")


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

        def is_told(name, note):
            events = [e for e in kube.list("Event", ns) if e["regarding"].get("name") == name and e["note"] == note]
            return any((e["type"], e["reason"]) == ("Warning", reason) for e in events)

        eventually(lambda: is_told("m", found["message"]), "an event says so")
        if reason != "ClassicSidecar":  # of which the template alone does not tell
            eventually(lambda: is_told("web", found["message"].removeprefix("Deployment web: ")), "to the Deployment's owner as well")

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
