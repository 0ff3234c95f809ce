"""Conditions say what is so: green means done, Finished means that nothing more happens by itself, and what is wrong is
said."""

import json
import time

import pytest
from support.kube import JOB, KINDS, account, becomes, condition, deployment, eventually, message, reason, refuses, sample, settle, task, writes
from support.kubelet import OK
from support.proxy import Proxy


def test_a_job_that_completed_though_the_command_failed_has_failed(kube, ns, operator, kubelet):
    """As under an entrypoint that swallows exit codes."""
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.end(pod, 0, {"ok": False, "reason": "LockTimeout", "message": "held by pid 7"})
    failed = becomes(kube, ns, "m", "LockTimeout")
    assert failed["status"]["lastRun"]["result"] == "Failed" and "applied" not in failed["status"]


@pytest.mark.parametrize("answer", ["403-html", "404-html", "502-html"])
def test_what_a_proxy_says_is_no_verdict(kube, ns, operators, kubelet, answer):
    blocked = {"on": True}
    proxy = Proxy(kube.server, lambda call: answer if call.name == "POST jobs" and blocked["on"] else None)
    operators(ns, server=proxy.url).start()
    kube.create(ns, task("DjangoMigrate", "m"))
    found = becomes(kube, ns, "m", "ApiError")
    assert condition(found, "Reconciling")["status"] == "True" and condition(found, "Finished")["status"] == "False"
    assert "Something went wrong" in message(found), "what it said"
    blocked["on"] = False
    kubelet.work()
    assert becomes(kube, ns, "m", "Succeeded")["status"]["lastRun"]["number"] == 1
    proxy.close()


def test_a_mistake_in_the_target_counts_as_one_after_a_minute(kube, ns, operator):
    """What is applied together may come in any order."""
    kube.create(ns, task("DjangoMigrate", "m", target={"container": "nope"}))
    found = becomes(kube, ns, "m", "ContainerNotFound")
    assert condition(found, "Reconciling")["status"] == "True" and condition(found, "Finished")["status"] == "False"
    assert kube.kubectl("wait", "-n", ns, "--for=condition=Finished", "djm/m", "--timeout=300s").returncode == 0
    found = becomes(kube, ns, "m", "ContainerNotFound")
    assert condition(found, "Stalled")["status"] == "True"


def test_an_error_that_persists_is_shown_and_cleaned(kube, ns, operator, kubelet, audit):
    """A webhook that cannot be reached refuses the Job by a 500 of the API server's."""
    name = "broken-" + ns
    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name},
        "webhooks": [{
            "name": "broken.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "clientConfig": {"url": "https://127.0.0.1:1/"}, "timeoutSeconds": 1,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns}},
            "rules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}],
        }],
    }
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    kube.call("POST", path, hook)
    try:
        refuses(kube, ns, JOB, 500)
        kube.create(ns, task("DjangoMigrate", "m"))
        found = becomes(kube, ns, "m", "ApiError")
        assert "broken.example.com" in message(found) and condition(found, "Reconciling")["status"] == "True"
        assert found["status"]["lastRun"]["number"] == 1
        # What it writes itself is no reason to try again before its time.
        begin = audit.position()
        time.sleep(12)
        tried = [e for e in audit.entries(account(ns), begin) if e["objectRef"].get("resource") in ("jobs", "djangomigrates")]
        assert len([e for e in tried if e["verb"] == "create"]) <= 4 and len(tried) <= 16, [e["requestURI"] for e in tried]
    finally:
        kube.call("DELETE", path + "/" + name, ok=(200, 404))
    kubelet.work()
    assert becomes(kube, ns, "m", "Succeeded")["status"]["lastRun"]["number"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_newer_version_is_asked_for_after_a_conflict_and_old_ones_are_thrown_away(kube, ns, operators, kubelet, audit, kind):
    def plan(call):
        if call.name == "PUT %s/status" % KINDS[kind] and call.nth == 1:
            kube.patch(kind, ns, "a", {"metadata": {"labels": {"touched": "meanwhile"}}})

    proxy = Proxy(kube.server, plan)
    kubelet.work()
    operators(ns, server=proxy.url, NUM_OLD_CRS="1").start()
    begin = audit.position()
    kube.create(ns, task(kind, "a", **sample(kind)))
    becomes(kube, ns, "a", "Succeeded", kind)
    own = [e for e in audit.entries(account(ns), begin) if e["objectRef"].get("resource") == KINDS[kind]]
    assert len([e for e in own if e["responseStatus"]["code"] == 409]) == 1
    assert len([e for e in own if e["verb"] == "get"]) == 1, "once after each conflict"
    time.sleep(1.1)  # creation timestamps have seconds
    kube.create(ns, task(kind, "b", **sample(kind)))
    eventually(lambda: [t["metadata"]["name"] for t in kube.list(kind, ns)] == ["b"])
    proxy.close()


def test_an_event_that_comes_again_is_counted(kube, ns, operator):
    kube.create(ns, task("DjangoMigrate", "m", suspend=True))
    for _ in range(3):
        becomes(kube, ns, "m", "Suspended")
        kube.patch("DjangoMigrate", ns, "m", {"spec": {"suspend": False, "target": {"container": "nope"}}})
        becomes(kube, ns, "m", "ContainerNotFound")
        kube.patch("DjangoMigrate", ns, "m", {"spec": {"suspend": True}})
    counted = lambda: [e for e in kube.list("Event", ns) if e["reason"] == "ContainerNotFound" and (e.get("series") or {}).get("count", 0) >= 2]  # noqa: E731
    eventually(counted, "one event, counted")


def test_a_task_that_follows_an_image_is_never_thrown_away(kube, ns, operators, kubelet):
    kubelet.work()
    operators(ns, NUM_OLD_CRS="1").start()
    kube.create(ns, task("DjangoMigrate", "follows", runPolicy="OnImageChange"))
    kube.create(ns, task("DjangoMigrate", "held"))
    for name in ("follows", "held"):
        becomes(kube, ns, name, "Succeeded")
    # A run is pending, behind a block that stalls.
    kube.patch("DjangoMigrate", ns, "held", {"spec": {"target": {"container": "nope"}}})
    becomes(kube, ns, "held", "ContainerNotFound")
    for name in ("a", "b", "c"):
        time.sleep(1.1)  # creation timestamps have seconds
        kube.create(ns, task("DjangoMigrate", name))
        becomes(kube, ns, name, "Succeeded")
    eventually(lambda: {t["metadata"]["name"] for t in kube.list("DjangoMigrate", ns)} == {"follows", "held", "c"})


def test_a_change_of_policy_reruns_nothing_and_of_the_image_does(kube, ns, operator, kubelet, audit):
    kubelet.work()
    kube.create(ns, task("DjangoMigrate", "m"))
    becomes(kube, ns, "m", "Succeeded")
    runs = lambda: kube.get("DjangoMigrate", ns, "m")["status"]["lastRun"]["number"]  # noqa: E731
    for policy in ("OnImageChange", "Once", "OnImageChange"):
        patched = kube.patch("DjangoMigrate", ns, "m", {"spec": {"runPolicy": policy}})
        generation = patched["metadata"]["generation"]
        eventually(lambda: kube.get("DjangoMigrate", ns, "m")["status"]["observedGeneration"] == generation)
    settle(audit, account(ns))
    assert runs() == 1
    # An upgrade after which the key is made another way leaves the image followed.
    status = kube.get("DjangoMigrate", ns, "m")["status"]
    kube.patch("DjangoMigrate", ns, "m", {"status": {"lastRun": {**status["lastRun"], "key": "v0:elsewise", "generation": 4}}}, "/status")
    container = {"name": "django", "image": "localhost/myapp:2"}
    kube.patch("Deployment", ns, "web", {"spec": {"template": {"spec": {"containers": [container]}}}})
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and t["status"]["lastRun"]["number"] == 2 and reason(t) == "Succeeded" and t)
    assert done["status"]["lastRun"]["cause"] == "Image"


def test_a_warning_is_shown_where_nothing_better_is_known(kube, ns, operator, kubelet):
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.tell(pod, "Scheduled", "assigned", kind="Normal")
    kubelet.tell(pod, "FailedCreatePodSandBox", "failed to set up\n\x1b[31mthe network")
    found = becomes(kube, ns, "m", "PodNotStarting")
    assert message(found) == "failed to set up [31mthe network"
    assert condition(found, "Reconciling")["status"] == "True"


def test_a_warning_that_has_passed_is_not_shown(kube, ns, operator, kubelet, audit):
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.tell(pod, "FailedCreatePodSandBox", "no network")
    kubelet.tell(pod, "Scheduled", "assigned", kind="Normal")
    unbound = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unbound}
    kube.patch("Pod", ns, pod["metadata"]["name"], {"status": {"conditions": [unscheduled]}}, "/status")
    begin = audit.position()
    eventually(lambda: any(e["verb"] == "list" and e["objectRef"].get("resource") == "events" for e in audit.entries(account(ns), begin)))
    settle(audit, account(ns))
    assert reason(kube.get("DjangoMigrate", ns, "m")) == "Starting"
    kubelet.work()
    becomes(kube, ns, "m", "Succeeded")


def test_empty_resources_leave_the_targets_limits(kube, ns, operator, kubelet):
    limits = {"limits": {"memory": "512Mi"}, "requests": {"memory": "128Mi"}}
    container = {"name": "django", "image": "localhost/myapp:1", "resources": limits}
    kube.patch("Deployment", ns, "web", {"spec": {"template": {"spec": {"containers": [container]}}}})
    for name, resources, expected in (
        ("empty", {}, limits), ("nothing", {"limits": {}, "requests": {}}, limits),
        ("own", {"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}),
    ):
        kube.create(ns, task("DjangoMigrate", name, resources=resources))
        job = eventually(lambda: [j for j in kube.list("Job", ns) if j["metadata"]["annotations"]["django.my.domain/task"] == name])[0]
        pod = eventually(lambda: kubelet.pods(job["metadata"]["name"]))[0]
        assert pod["spec"]["containers"][0]["resources"] == expected, name


def test_what_the_api_server_says_is_cleaned(kube, ns, operator):
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "says-" + ns},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}]},
            "validations": [{"expression": "false", "messageExpression": "'no\u001b[31m way ' + 'x'", "reason": "Forbidden"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "says-" + ns},
        "spec": {"policyName": "says-" + ns, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns}}}},
    }
    base = "/apis/admissionregistration.k8s.io/v1/"
    kube.call("POST", base + "validatingadmissionpolicies", policy)
    kube.call("POST", base + "validatingadmissionpolicybindings", binding)
    try:
        refuses(kube, ns, JOB)
        kube.create(ns, task("DjangoMigrate", "m"))
        found = becomes(kube, ns, "m", "JobRejected")
        assert not any(ord(c) < 32 for c in message(found)) and "way" in message(found)
        told = eventually(lambda: [e for e in kube.list("Event", ns) if e["reason"] == "JobRejected"])
        assert not any(ord(c) < 32 for c in told[0]["note"])
        # JSON escapes what is in a text; a raw control character would be one in the text itself.
        lines = [json.loads(line) for line in operator.log.read_text().splitlines()]
        assert not any(ord(c) < 32 for line in lines for c in str(line.get("error", "")))
    finally:
        kube.call("DELETE", base + "validatingadmissionpolicybindings/says-" + ns)
        kube.call("DELETE", base + "validatingadmissionpolicies/says-" + ns)


def test_a_request_that_the_status_could_not_hold_is_named(kube, ns, operator, kubelet):
    kubelet.work()
    kube.create(ns, task("DjangoMigrate", "m"))
    becomes(kube, ns, "m", "Succeeded")
    ask = lambda value: kube.patch("DjangoMigrate", ns, "m", {"metadata": {"annotations": {"django.my.domain/requestedAt": value}}})  # noqa: E731
    ask("x" * 5000)
    found = becomes(kube, ns, "m", "InvalidSpec")
    assert "requestedAt" in message(found) and "253" in message(found) and "xxx" not in json.dumps(found["status"])
    ask("now")
    eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m"))["status"].get("lastHandledRequest") == "now" and reason(t) == "Succeeded")


def test_a_wait_on_an_ambiguous_target_ends_by_itself_when_the_release_does(kube, ns, operators, kubelet, audit):
    kubelet.work()
    kube.create(ns, deployment("web2"))
    kube.create(ns, task("DjangoMigrate", "m"))
    operators(ns).start()
    becomes(kube, ns, "m", "TargetAmbiguous")
    settle(audit, account(ns))
    begin = audit.position()
    time.sleep(3)  # a window in which nothing may be written
    assert writes(audit.entries(account(ns), begin)) == []
    kube.delete("Deployment", ns, "web")
    done = becomes(kube, ns, "m", "Succeeded")
    assert done["status"]["lastRun"]["target"]["name"] == "web2" and done["status"]["report"]["action"] == OK["action"]
