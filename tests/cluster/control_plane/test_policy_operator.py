"""The policies: what the operator's own account may do, word for word; and that nothing is kept from going away."""

import os
import subprocess

import pytest
import yaml
from support.kube import ROOT, TIMEOUT, account, becomes, deployment, eventually, message, task
from support.operator import grant
from support.policies import LIMITS_NS, SHIPPED_ACCOUNT, answer, config_map

OWNER = {"apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate", "name": "m", "uid": "0", "controller": True}
CONTAINER = {"name": "django", "image": "reg/shop:1"}


def job(name="j", metadata=None, container=None, init=None, annotations=None, **pod):
    """What the operator makes, but for what a row says."""
    spec = {"restartPolicy": "Never", "containers": [{**CONTAINER, **(container or {})}], **pod}
    if init:
        spec["initContainers"] = [{"name": "proxy", "image": "proxy:1", **init}]
    labels = {"app.kubernetes.io/managed-by": "django-operator"}
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [OWNER], **(metadata or {})},
        "spec": {"suspend": True, "backoffLimit": 0, "template": {"metadata": {"annotations": annotations or {}}, "spec": spec}},
    }


OF_A_TASK = (
    "the Jobs of {user} have the label app.kubernetes.io/managed-by=django-operator and one owner, a task of "
    "django.my.domain/v1alpha1; make others with another account"
)
HOST_PATH = "volumes data: no Job of a task mounts a hostPath; use a PersistentVolumeClaim"
OR_DROP = "or leave the container out by the target's annotation django.my.domain/drop-containers if it is not Django's"
PRIVILEGED = "containers %s: no Job of a task is privileged; take it out of the securityContext, " + OR_DROP
BASELINE = (
    "containers %s: no Job of a task goes beyond Pod Security's baseline (capabilities, seccomp, AppArmor, SELinux, sysctls, "
    "procMount); keep the securityContext to it, " + OR_DROP
)
NAMESPACES = "%s: no Job of a task has the node's namespaces; take it out of the pod template"
PROBES = "containers proxy: no Job of a task probes or calls another host; take host out of the probe or the lifecycle"
HOST_PORTS = "containers proxy: no Job of a task has ports of the node; take hostPort out of the pod template"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
UNCONFINED = "containers django: no Job of a task goes without AppArmor's profile; take the annotation %s... out of the pod template" % APPARMOR
ITSELF = "service account django-operator: no Job of a task works as an operator; give the target a service account of its own"
DEPLOYMENT_OWNER = {**OWNER, "apiVersion": "apps/v1", "kind": "Deployment"}


def context(**fields):
    return {"securityContext": fields}


def owned_by(*owners):
    return job(metadata={"ownerReferences": list(owners)})


JOBS = [
    ("as the operator makes them", job(), None),
    ("unlabelled", job(metadata={"labels": {}}), OF_A_TASK),
    ("labelled otherwise", job(metadata={"labels": {"app.kubernetes.io/managed-by": "Helm"}}), OF_A_TASK),
    ("without owner", owned_by(), OF_A_TASK),
    ("of another group", owned_by(DEPLOYMENT_OWNER), OF_A_TASK),
    ("of another version", owned_by({**OWNER, "apiVersion": "django.my.domain/v1"}), OF_A_TASK),
    ("of no task", owned_by({**OWNER, "kind": "Django"}), OF_A_TASK),
    ("with two owners", owned_by(OWNER, {**DEPLOYMENT_OWNER, "uid": "1", "controller": False}), OF_A_TASK),
    ("not controlled", owned_by({**OWNER, "controller": False}), OF_A_TASK),
    ("in the node's network", job(hostNetwork=True), NAMESPACES % "hostNetwork"),
    ("among the node's processes", job(hostPID=True, hostIPC=True), NAMESPACES % "hostPID, hostIPC"),
    ("with the node's files", job(volumes=[{"name": "tmp", "emptyDir": {}}, {"name": "data", "hostPath": {"path": "/"}}]), HOST_PATH),
    ("with other volumes", job(volumes=[{"name": "tmp", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c"}}]), None),
    ("privileged", job(container=context(privileged=True)), PRIVILEGED % "django"),
    ("with a privileged init container", job(init=context(privileged=True)), PRIVILEGED % "proxy"),
    ("with the node's proc", job(container=context(procMount="Unmasked"), hostUsers=False), BASELINE % "django"),
    ("capable", job(container=context(capabilities={"add": ["SYS_ADMIN"]})), BASELINE % "django"),
    ("with an init container that is", job(init=context(capabilities={"add": ["NET_ADMIN", "CHOWN"]})), BASELINE % "proxy"),
    ("with all capabilities", job(init=context(capabilities={"add": ["ALL"]})), BASELINE % "proxy"),
    ("with harmless capabilities", job(container=context(capabilities={"add": ["CHOWN"], "drop": ["ALL"]})), None),
    ("without seccomp", job(container=context(seccompProfile={"type": "Unconfined"})), BASELINE % "django"),
    ("without seccomp as a pod", job(**context(seccompProfile={"type": "Unconfined"})), BASELINE % "of the pod"),
    ("without AppArmor", job(container=context(appArmorProfile={"type": "Unconfined"})), BASELINE % "django"),
    ("outside SELinux", job(**context(seLinuxOptions={"type": "spc_t"})), BASELINE % "of the pod"),
    ("with a role of SELinux", job(init=context(seLinuxOptions={"role": "r"})), BASELINE % "proxy"),
    ("with a setting of the kernel", job(**context(sysctls=[{"name": "kernel.msgmax", "value": "1"}])), BASELINE % "of the pod"),
    ("with all that is harmless", job(**context(
        seccompProfile={"type": "RuntimeDefault"}, appArmorProfile={"type": "RuntimeDefault"}, runAsUser=0,
        seLinuxOptions={"type": "container_t", "level": "s0:c1"}, sysctls=[{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
    )), None),
    ("with a port of the node", job(init={"ports": [{"containerPort": 80, "hostPort": 80}]}), HOST_PORTS),
    ("with a probe of another host", job(init={"restartPolicy": "Always", "startupProbe": {"httpGet": {"host": "10.0.0.1", "port": 80}}}), PROBES),
    ("with a hook to another host", job(init={"restartPolicy": "Always", "lifecycle": {"postStart": {"httpGet": {"host": "10.0.0.1", "port": 80}}}}), PROBES),
    ("without AppArmor, as of old", job(annotations={APPARMOR + "django": "unconfined", "a": "unconfined"}), UNCONFINED),
    ("with AppArmor, as of old", job(annotations={APPARMOR + "django": "runtime/default"}), None),
    ("with a probe", job(init={"restartPolicy": "Always", "startupProbe": {"httpGet": {"port": 80}}}), None),
    ("with another account", job(serviceAccountName="web"), None),
    ("with the operator's account", job(serviceAccountName="django-operator"), ITSELF),
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
    ("suspension", {"spec": {"suspend": True, "backoffLimit": 0}}, True),
    ("parallelism", {"spec": {"parallelism": 2}}, False),
    ("deadline", {"spec": {"activeDeadlineSeconds": 9}}, False),
    ("image", {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}, False),
    ("label", {"metadata": {"labels": {"app.kubernetes.io/managed-by": "b"}}}, False),
    ("kind", {"metadata": {"labels": {"django.my.domain/kind": "b"}}}, False),
    ("owner", {"metadata": {"ownerReferences": [{**OWNER, "uid": "1"}]}}, False),
    ("annotation", {"metadata": {"annotations": {"django.my.domain/run": "2"}}}, False),
    ("annotation gone", {"metadata": {"annotations": {"django.my.domain/run": None}}}, False),
    ("finalizer", {"metadata": {"finalizers": ["example.com/kept"]}}, False),
    ("what others write", {"metadata": {"annotations": {"a": "b"}, "labels": {"a": "b"}}}, True),
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
        assert found == (None if allowed else account(empty_ns) + " lets its own Jobs begin, and changes nothing else of a Job; make other changes with another account"), name
    stop = {"spec": {"suspend": True}}
    refused = account(empty_ns) + " lets its own Jobs begin, and changes nothing else of a Job; make other changes with another account"
    assert answer(the_operator, "PATCH", kube.path("Job", empty_ns, "release"), stop, "application/merge-patch+json") == refused
    kube.create(empty_ns, {**job("foreign"), "metadata": {"name": "foreign"}})
    assert answer(the_operator, "PATCH", kube.path("Job", empty_ns, "foreign"), {"spec": {"suspend": False}}, "application/merge-patch+json") == refused


def test_the_helpers_names_are_the_operators_alone(kube, empty_ns, the_operator):
    name, user = "django-operator-tasks-abc", account(empty_ns)
    words = (
        "ConfigMap %s: names that begin with django-operator-tasks- are the helper's, which only the operator's account writes "
        "(%s), and not admin; use another name" % (name, SHIPPED_ACCOUNT)
    )
    path = kube.path("ConfigMap", empty_ns)
    assert answer(kube, "POST", path, config_map(name)) == words
    assert answer(kube, "POST", path, config_map("others")) is None
    assert answer(the_operator, "POST", path, config_map(name)) is None
    labelled = {"metadata": {"labels": {"a": "b"}}}
    assert answer(kube, "PATCH", path + "/" + name, labelled, "application/merge-patch+json") is None, "which garbage collection does too"
    alone = (
        user + " creates ConfigMaps alone that are immutable and whose names begin with django-operator-tasks-; "
        "write others with another account"
    )
    assert answer(the_operator, "POST", path, config_map("others-too")) == alone
    assert answer(the_operator, "POST", path, {**config_map(name + "d"), "immutable": False}) == alone


@pytest.mark.parametrize("how", ["Background", "Foreground", "Orphan"])
def test_everybody_may_delete_the_helper(kube, empty_ns, the_operator, how):
    name = "django-operator-tasks-abc"
    the_operator.create(empty_ns, config_map(name))
    kube.call("DELETE", kube.path("ConfigMap", empty_ns, name) + "?propagationPolicy=" + how)
    eventually(lambda: kube.get("ConfigMap", empty_ns, name) is None, "it is gone")


def of_limit(key):
    return "%s of ConfigMap limits in namespace %s" % (key, LIMITS_NS)


def test_the_service_accounts_of_a_namespace(kube, empty_ns, the_operator, limits):
    path, key = kube.path("Job", empty_ns) + "?dryRun=All", "serviceAccounts." + empty_ns

    def words(name):
        text = "service account %s is not among those of namespace %s (web, worker); to allow it, add it to %s"
        return text % (name, empty_ns, of_limit(key))

    limits({key: "web, worker"})
    eventually(lambda: answer(the_operator, "POST", path, job(serviceAccountName="admin")) == words("admin"), "the list is in force", 30)
    assert answer(the_operator, "POST", path, job()) == words("default")
    assert answer(the_operator, "POST", path, job(serviceAccountName="worker")) is None
    assert answer(kube, "POST", path, job(metadata={"labels": {}})) is None, "other people's Jobs are not its business"


def test_jobs_with_digests_only(kube, empty_ns, the_operator, limits):
    path, key = kube.path("Job", empty_ns) + "?dryRun=All", "imagesByDigest." + empty_ns
    digest = "reg/shop@sha256:" + "0" * 64

    def words(*images):
        text = "images %s have no digest; write them as NAME@sha256:... in the target, which namespace %s asks for by %s"
        return text % (", ".join(images), empty_ns, of_limit(key))

    def asks(**changes):
        return answer(the_operator, "POST", path, job(**changes))

    limits({key: "true"})
    eventually(lambda: asks(init={"image": "proxy:1"}) == words("reg/shop:1", "proxy:1"), "digests are asked for", 30)
    by_digest = {"container": {"image": digest}, "init": {"image": digest}}
    assert asks(**by_digest) is None
    assert asks(**by_digest, volumes=[{"name": "v", "image": {"reference": "reg/data:1"}}]) == words("reg/data:1")


def test_a_task_says_what_the_policy_refuses_and_proceeds_when_it_is_allowed(kube, ns, operator, kubelet, limits):
    kubelet.work()
    key = "serviceAccounts." + ns
    limits({key: "web"})
    the_operator, path = kube.as_user(account(ns)), kube.path("Job", ns) + "?dryRun=All"
    eventually(lambda: answer(the_operator, "POST", path, job()), "the list is in force", 30)
    kube.create(ns, task("DjangoMigrate", "m"))
    found = becomes(kube, ns, "m", "JobRejected")
    assert message(found).endswith("add it to " + of_limit(key)), message(found)
    limits({key: "default"})
    becomes(kube, ns, "m", "Succeeded", timeout=2 * TIMEOUT)


@pytest.mark.parametrize("kind", ["Mutating", "Validating"])
def test_a_release_that_other_policies_meddle_with(kube, ns, operator, kubelet, kind):
    """One adds an annotation to each Job that is updated; one refuses that what the policy refuses is updated."""
    kubelet.work()
    version, name = ("v1beta1" if kind == "Mutating" else "v1"), "meddles-" + ns
    base = "/apis/admissionregistration.k8s.io/%s/%sadmissionpolicy" % (version, kind.lower())
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns}},
            "resourceRules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["jobs"]}],
        },
    }
    if kind == "Mutating":
        expression = "Object{metadata: Object.metadata{annotations: {'example.com/seen': 'true'}}}"
        spec.update(reinvocationPolicy="Never", mutations=[{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}])
        binding = {"policyName": name}
    else:
        spec["validations"] = [{"expression": "false", "message": "not before noon", "reason": "Forbidden"}]
        binding = {"policyName": name, "validationActions": ["Deny"]}
    head = {"apiVersion": "admissionregistration.k8s.io/" + version, "metadata": {"name": name}}
    kube.call("POST", base[:-1] + "ies", {**head, "kind": kind + "AdmissionPolicy", "spec": spec})
    kube.call("POST", base + "bindings", {**head, "kind": kind + "AdmissionPolicyBinding", "spec": binding})
    try:
        probe = {**job("probe"), "metadata": {"name": "probe"}}
        kube.create(ns, probe)

        def in_force():
            found = kube.call("PATCH", kube.path("Job", ns, "probe"), {"metadata": {"labels": {"a": os.urandom(3).hex()}}}, "application/merge-patch+json", ok=())
            return found.get("code") == 403 or "example.com/seen" in found["metadata"].get("annotations", {})

        eventually(in_force, "it meddles")
        kube.create(ns, task("DjangoCommand", "c", commands=[["check"]]))
        if kind == "Validating":
            found = becomes(kube, ns, "c", "JobRejected", "DjangoCommand")
            assert message(found).endswith("denied request: not before noon"), message(found)
            kube.call("DELETE", base + "bindings/" + name)
        becomes(kube, ns, "c", "Succeeded", "DjangoCommand", timeout=2 * TIMEOUT)
    finally:
        kube.call("DELETE", base + "bindings/" + name, ok=(200, 404))
        kube.call("DELETE", base[:-1] + "ies/" + name)


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


def test_the_network_policy_is_about_the_operators_pods(kube, empty_ns):
    kube.kubectl("apply", "-n", empty_ns, "-f", str(ROOT / "policies/network-policy.yaml"))
    network = kube.call("GET", "/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies/django-operator" % empty_ns)
    manager = yaml.safe_load((ROOT / "config/manager/manager.yaml").read_text())["spec"]["template"]
    selected = network["spec"]["podSelector"]["matchLabels"]
    assert selected and selected.items() <= manager["metadata"]["labels"].items()
    ports = {port["containerPort"] for port in manager["spec"]["containers"][0]["ports"]}
    assert {port["port"] for rule in network["spec"]["ingress"] for port in rule["ports"]} == ports


def test_the_policies_of_operators_elsewhere_and_other_labels():
    make = ["make", "-s", "-C", str(ROOT), "print-policies", "OPERATORS=shop other", "POD_LABELS=tier:web,example.com/a:b"]
    printed = list(yaml.safe_load_all(subprocess.run(make, check=True, capture_output=True, text=True).stdout))
    shipped = list(yaml.safe_load_all(subprocess.run(make[:-2], check=True, capture_output=True, text=True).stdout))
    labels = "app.kubernetes.io/component:django-server,app.kubernetes.io/component:django-celery-work-celery"

    def replaced(value):
        if isinstance(value, str):
            accounts = "system:serviceaccount:shop:django-operator,system:serviceaccount:other:django-operator"
            return value.replace(SHIPPED_ACCOUNT, accounts).replace(labels, "tier:web,example.com/a:b")
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        return [replaced(item) for item in value] if isinstance(value, list) else value

    assert printed == [replaced(document) for document in shipped] != shipped
    for wrong in ("OPERATORS=", "OPERATORS=a b;id", "POD_LABELS=tier", "POD_LABELS="):
        done = subprocess.run([*make[:-2], wrong], capture_output=True, text=True)
        assert done.returncode and "write" in done.stderr and not done.stdout, wrong
    other = subprocess.run([*make[:-2], "OPERATORS=shop,other", "POD_LABELS=tier=web,example.com/a=b"], check=True, capture_output=True, text=True)
    assert list(yaml.safe_load_all(other.stdout)) == printed
