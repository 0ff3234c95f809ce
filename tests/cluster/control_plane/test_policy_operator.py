"""The policies: what the operator's own account may do, word for word; and that nothing is kept from going away."""

import subprocess

import pytest
import yaml
from support.kube import ROOT, TIMEOUT, account, becomes, deployment, eventually, message, task
from support.operator import grant
from support.policies import NAME, NS, answer, config_map

OWNER = {"apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate", "name": "m", "uid": "0", "controller": True}
CONTAINER = {"name": "django", "image": "reg/shop:1"}


def job(name="j", metadata=None, container=None, init=None, **pod):
    """What the operator makes, but for what a row says."""
    spec = {"restartPolicy": "Never", "containers": [{**CONTAINER, **(container or {})}], **pod}
    if init:
        spec["initContainers"] = [{"name": "proxy", "image": "proxy:1", **init}]
    labels = {"app.kubernetes.io/managed-by": "django-operator"}
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [OWNER], **(metadata or {})},
        "spec": {"suspend": True, "backoffLimit": 0, "template": {"spec": spec}},
    }


OF_A_TASK = "the Jobs of {user} have the label app.kubernetes.io/managed-by=django-operator and one owner, a task of django.my.domain"
HOST_PATH = "volumes data: no Job of a task mounts a hostPath; use a PersistentVolumeClaim"
PRIVILEGED = (
    "containers %s: no Job of a task is privileged; leave the container out by the target's annotation "
    "django.my.domain/drop-containers"
)
CAPABLE = "containers %s: no Job of a task adds capabilities beyond the baseline of Pod Security"
DEPLOYMENT_OWNER = {**OWNER, "apiVersion": "apps/v1", "kind": "Deployment"}
JOBS = [
    ("as the operator makes them", job(), None),
    ("unlabelled", job(metadata={"labels": {}}), OF_A_TASK),
    ("labelled otherwise", job(metadata={"labels": {"app.kubernetes.io/managed-by": "Helm"}}), OF_A_TASK),
    ("without owner", job(metadata={"ownerReferences": []}), OF_A_TASK),
    ("of another group", job(metadata={"ownerReferences": [DEPLOYMENT_OWNER]}), OF_A_TASK),
    ("with two owners", job(metadata={"ownerReferences": [OWNER, {**DEPLOYMENT_OWNER, "uid": "1", "controller": False}]}), OF_A_TASK),
    ("not controlled", job(metadata={"ownerReferences": [{**OWNER, "controller": False}]}), OF_A_TASK),
    ("in the node's network", job(hostNetwork=True), "hostNetwork: no Job of a task has the node's namespaces"),
    ("among the node's processes", job(hostPID=True, hostIPC=True), "hostPID, hostIPC: no Job of a task has the node's namespaces"),
    ("with the node's files", job(volumes=[{"name": "tmp", "emptyDir": {}}, {"name": "data", "hostPath": {"path": "/"}}]), HOST_PATH),
    ("with other volumes", job(volumes=[{"name": "tmp", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c"}}]), None),
    ("privileged", job(container={"securityContext": {"privileged": True}}), PRIVILEGED % "django"),
    ("with a privileged init container", job(init={"securityContext": {"privileged": True}}), PRIVILEGED % "proxy"),
    ("with the node's proc", job(container={"securityContext": {"procMount": "Unmasked"}}, hostUsers=False), PRIVILEGED % "django"),
    ("capable", job(container={"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}), CAPABLE % "django"),
    ("with an init container that is", job(init={"securityContext": {"capabilities": {"add": ["NET_ADMIN", "CHOWN"]}}}), CAPABLE % "proxy"),
    ("with harmless capabilities", job(container={"securityContext": {"capabilities": {"add": ["CHOWN"], "drop": ["ALL"]}}}), None),
    ("with a port of the node", job(init={"ports": [{"containerPort": 80, "hostPort": 80}]}), "containers proxy: no Job of a task has ports of the node"),
    ("with another account", job(serviceAccountName="web"), None),
]


@pytest.fixture
def the_operator(kube, empty_ns):
    """The client of the operator's account, which the policies know, with the rights that it ships with."""
    return kube.as_user(grant(kube, empty_ns))


@pytest.mark.parametrize("body, words", [row[1:] for row in JOBS], ids=[row[0] for row in JOBS])
def test_the_jobs_that_the_operator_may_make(kube, empty_ns, the_operator, body, words):
    path = kube.path("Job", empty_ns) + "?dryRun=All"
    assert answer(the_operator, "POST", path, body) == (words and words.format(user=account(empty_ns)))
    assert answer(kube, "POST", path, body) is None, "other people's Jobs are not its business"


CHANGES = [
    ("release", {"spec": {"suspend": False}, "metadata": {"annotations": {"django.my.domain/held": None}}}, True),
    ("parallelism", {"spec": {"parallelism": 2}}, False),
    ("deadline", {"spec": {"activeDeadlineSeconds": 9}}, False),
    ("image", {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}, False),
    ("label", {"metadata": {"labels": {"a": "b"}}}, False),
    ("owner", {"metadata": {"ownerReferences": [{**OWNER, "uid": "1"}]}}, False),
    ("finalizer", {"metadata": {"finalizers": ["example.com/kept"]}}, False),
    ("annotation", {"metadata": {"annotations": {"a": "b"}}}, False),
    ("annotation gone", {"metadata": {"annotations": {"django.my.domain/run": None}}}, False),
]


def test_of_a_job_the_operator_changes_nothing_but_its_suspension(kube, empty_ns, the_operator):
    held = {"annotations": {"django.my.domain/held": "true", "django.my.domain/run": "1"}}
    for name, patch, allowed in CHANGES:
        # The garbage collector would take a Job away whose owner is not there.
        body = job(name.replace(" ", "-"), metadata=held)
        owner = kube.create(empty_ns, task("DjangoMigrate", body["metadata"]["name"]))["metadata"]
        body["metadata"]["ownerReferences"] = [{**OWNER, "name": owner["name"], "uid": owner["uid"]}]
        kube.create(empty_ns, body)
        found = answer(the_operator, "PATCH", kube.path("Job", empty_ns, body["metadata"]["name"]), patch, "application/merge-patch+json")
        assert found == (None if allowed else account(empty_ns) + " changes of a Job spec.suspend alone"), name


def test_the_helpers_names_are_the_operators_alone(kube, empty_ns, the_operator):
    name, user = "django-operator-tasks-abc", account(empty_ns)
    words = (
        "ConfigMap %s: names that begin with django-operator-tasks- are the helper's, which only %s writes, and not admin; "
        "use another name, or change operator.%s of ConfigMap %s in namespace %s" % (name, user, empty_ns, NAME, NS)
    )
    path = kube.path("ConfigMap", empty_ns)
    assert answer(kube, "POST", path, config_map(name)) == words
    assert answer(kube, "POST", path, config_map("others")) is None
    assert answer(the_operator, "POST", path, config_map(name)) is None
    labelled = {"metadata": {"labels": {"a": "b"}}}
    assert answer(kube, "PATCH", path + "/" + name, labelled, "application/merge-patch+json") == words
    alone = user + " creates ConfigMaps alone that are immutable and whose names begin with django-operator-tasks-"
    assert answer(the_operator, "POST", path, config_map("others-too")) == alone
    assert answer(the_operator, "POST", path, {**config_map(name + "d"), "immutable": False}) == alone
    elsewhere = kube.as_user(account("default"))
    assert answer(elsewhere, "POST", path, config_map(name)).startswith('configmaps is forbidden: User "%s"' % account("default"))


@pytest.mark.parametrize("how", ["Background", "Foreground", "Orphan"])
def test_everybody_may_delete_the_helper(kube, empty_ns, the_operator, how):
    name = "django-operator-tasks-abc"
    the_operator.create(empty_ns, config_map(name))
    kube.call("DELETE", kube.path("ConfigMap", empty_ns, name) + "?propagationPolicy=" + how)
    eventually(lambda: kube.get("ConfigMap", empty_ns, name) is None, "it is gone")


def test_the_service_accounts_of_a_namespace(kube, empty_ns, the_operator, parameters):
    path, key = kube.path("Job", empty_ns) + "?dryRun=All", "serviceAccounts." + empty_ns

    def words(name):
        return (
            "service account %s is not among those of namespace %s (web, worker); to allow it, add it to %s of ConfigMap %s in namespace %s"
            % (name, empty_ns, key, NAME, NS)
        )

    parameters({key: "web, worker"})
    eventually(lambda: answer(the_operator, "POST", path, job(serviceAccountName="admin")) == words("admin"), "the list is in force", 30)
    assert answer(the_operator, "POST", path, job()) == words("default")
    assert answer(the_operator, "POST", path, job(serviceAccountName="worker")) is None


def test_jobs_with_digests_only(kube, empty_ns, the_operator, parameters):
    path, key = kube.path("Job", empty_ns) + "?dryRun=All", "imagesByDigest." + empty_ns
    words = (
        "images reg/shop:1, proxy:1 have no digest; write them as NAME@sha256:... in the target, which namespace %s asks for by "
        "%s of ConfigMap %s in namespace %s" % (empty_ns, key, NAME, NS)
    )
    parameters({key: "true"})
    eventually(lambda: answer(the_operator, "POST", path, job(init={"image": "proxy:1"})) == words, "digests are asked for", 30)
    digest = "reg/shop@sha256:" + "0" * 64
    assert answer(the_operator, "POST", path, job(container={"image": digest}, init={"image": digest})) is None


def test_a_task_says_what_the_policy_refuses_and_proceeds_when_it_is_allowed(kube, ns, operator, kubelet, parameters):
    kubelet.work()
    key = "serviceAccounts." + ns
    parameters({key: "web"})
    the_operator, path = kube.as_user(account(ns)), kube.path("Job", ns) + "?dryRun=All"
    eventually(lambda: answer(the_operator, "POST", path, job()), "the list is in force", 30)
    kube.create(ns, task("DjangoMigrate", "m"))
    found = becomes(kube, ns, "m", "JobRejected")
    assert message(found).endswith("add it to %s of ConfigMap %s in namespace %s" % (key, NAME, NS)), message(found)
    parameters({key: "default"})
    becomes(kube, ns, "m", "Succeeded", timeout=2 * TIMEOUT)


def test_a_namespace_with_everything_in_it_goes_away(kube, ns, operator, kubelet):
    """One task has ended, one runs, one is held, one waits; the operator goes on, and is told no."""
    for body in (
        task("DjangoMigrate", "done"), task("DjangoCommand", "held", commands=[["check"]], dependsOn=[{"kind": "DjangoMigrate", "name": "done"}]),
        task("DjangoUser", "waits", username="a", passwordSecretRef={"name": "pw", "key": "p"}, dependsOn=[{"kind": "DjangoMigrate", "name": "nosuch"}]),
        task("DjangoCommand", "daily", commands=[["check"]], schedule={"cron": "@yearly"}), deployment("another", "other"),
    ):
        kube.create(ns, body)
    kubelet.run(kubelet.pod_of_run("DjangoMigrate", "done", 1))
    kubelet.end(kubelet.pod_of_run("DjangoMigrate", "done", 1))
    becomes(kube, ns, "done", "Succeeded")
    kubelet.run(kubelet.pod_of_run("DjangoCommand", "held", 1))
    becomes(kube, ns, "waits", "DependencyNotFound", "DjangoUser")
    kube.call("DELETE", "/api/v1/namespaces/" + ns)
    # No node takes the pods away.
    for pod in kubelet.pods():
        path = kube.path("Pod", ns, pod["metadata"]["name"]) + "?gracePeriodSeconds=0"
        kube.call("DELETE", path, ok=(200, 404))
    eventually(lambda: kube.call("GET", "/api/v1/namespaces/" + ns, ok=()).get("code") == 404, "the namespace is gone")


def test_the_network_policy_is_about_the_operators_pods(kube):
    network = kube.call("GET", "/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies/django-operator" % NS)
    manager = yaml.safe_load((ROOT / "config/manager/manager.yaml").read_text())["spec"]["template"]
    selected = network["spec"]["podSelector"]["matchLabels"]
    assert selected and selected.items() <= manager["metadata"]["labels"].items()
    ports = {port["containerPort"] for port in manager["spec"]["containers"][0]["ports"]}
    assert {port["port"] for rule in network["spec"]["ingress"] for port in rule["ports"]} == ports


def test_the_policies_of_an_operator_in_another_namespace(kube):
    make = ["make", "-s", "-C", str(ROOT), "policies-overlay", "NAMESPACE=elsewhere"]
    subprocess.run(make, check=True, capture_output=True)
    documents = list(yaml.safe_load_all(kube.kubectl("kustomize", str(ROOT / "target/policies")).stdout))
    kinds = {d["kind"]: d for d in documents}
    assert {kind for kind, d in kinds.items() if "namespace" in d["metadata"]} == {"ConfigMap", "NetworkPolicy"}
    assert {kinds[kind]["metadata"]["namespace"] for kind in ("ConfigMap", "NetworkPolicy")} == {"elsewhere"}
    assert kinds["ConfigMap"]["data"]["operator"] == account("elsewhere")
    referred = [d["spec"]["paramRef"]["namespace"] for d in documents if "paramRef" in d.get("spec", {})]
    assert referred == ["elsewhere"] * 4
