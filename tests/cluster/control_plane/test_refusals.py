"""Bad input gets a message that names the field, and nothing runs; what can mend itself waits."""

import json
import time

import pytest
from support.kube import JOB, KINDS, POD, ROOT, TIMEOUT, account, condition, deployment, eventually, job_name, reason, refuses, settle, task, writes

USER = {"username": "admin", "passwordSecretRef": {"name": "pw", "key": "password"}}

REJECTED = [
    ("DjangoCelery", {"app": "a", "worker": "w", "task": "t"}, "worker: cannot be set together with task"),
    ("DjangoCelery", {"app": "a", "terminate": True}, "terminate: needs task as well"),
    ("DjangoCelery", {"app": "a", "task": "t", "signal": "SIGKILL"}, "signal: needs terminate as well"),
    ("DjangoCelery", {"app": "-A"}, "spec.app"),
    ("DjangoCelery", {"app": "a", "worker": "--queues=x"}, "spec.worker"),
    ("DjangoCelery", {"app": "a", "worker": "x,y"}, "spec.worker"),
    ("DjangoCelery", {"app": "a", "task": "-d all"}, "spec.task"),
    ("DjangoCelery", {}, "spec.app"),
    ("DjangoMigrate", {"migration": "0001"}, "migration: needs app as well"),
    ("DjangoMigrate", {"prune": True}, "prune: needs app as well"),
    ("DjangoMigrate", {"app": "a", "migration": "b", "prune": True}, "prune: cannot be set together with migration"),
    ("DjangoMigrate", {"app": "--settings=evil"}, "spec.app"),
    ("DjangoMigrate", {"image": "i", "runPolicy": "OnImageChange"}, "image: cannot be set together with runPolicy"),
    ("DjangoMigrate", {"target": {"deployment": "a", "podTemplate": "b"}}, "target: set only one of"),
    ("DjangoMigrate", {"timeoutSeconds": 0}, "spec.timeoutSeconds"),
    ("DjangoMigrate", {"retries": -1}, "spec.retries"),
    ("DjangoMigrate", {"lock": {"timeoutSeconds": 0}}, "spec.lock.timeoutSeconds"),
    ("DjangoMigrate", {"lock": {"mode": "Maybe"}}, "spec.lock.mode"),
    ("DjangoMigrate", {"resources": {"limits": {"memory": "1 Gb"}}}, "spec.resources.limits.memory"),
    ("DjangoUser", {**USER, "username": ""}, "spec.username"),
    ("DjangoUser", {**USER, "username": "x" * 255}, "spec.username"),
    ("DjangoUser", {**USER, "username": "a\nb"}, "spec.username"),
    ("DjangoUser", {**USER, "email": "a\u0000b"}, "spec.email"),
    ("DjangoUser", {"username": "a"}, "spec.passwordSecretRef"),
    ("DjangoUser", {**USER, "passwordSecretRef": {"name": "pw; id", "key": "k"}}, "spec.passwordSecretRef.name"),
    ("DjangoUser", {**USER, "passwordSecretRef": {"name": "pw", "key": "a/b"}}, "spec.passwordSecretRef.key"),
    ("DjangoUser", {**USER, "attributes": {str(i): "" for i in range(33)}}, "spec.attributes"),
    ("DjangoStatic", {"ignore": [""]}, "spec.ignore"),
    ("DjangoStatic", {"ignore": ["x"] * 33}, "spec.ignore"),
    ("DjangoStatic", {"historyLimit": 101}, "spec.historyLimit"),
    ("DjangoStatic", {"dependsOn": [{"kind": "Pod", "name": "m"}]}, "spec.dependsOn[0].kind"),
    ("DjangoStatic", {"dependsOn": [{"kind": "DjangoMigrate", "name": "M"}]}, "spec.dependsOn[0].name"),
    ("DjangoStatic", {"dependsOn": [{"kind": "DjangoMigrate", "name": "m"}] * 2}, "spec.dependsOn[1]"),
    ("DjangoStatic", {"dependsOn": [{"kind": "DjangoMigrate", "name": "m%d" % n} for n in range(17)]}, "spec.dependsOn"),
    ("DjangoCommand", {"commands": [["check"]], "schedule": {}}, "spec.schedule.cron"),
    ("DjangoCommand", {"commands": [["check"]], "schedule": {"cron": "* * * *"}}, "spec.schedule.cron"),
    ("DjangoCommand", {"commands": [["check"]], "schedule": {"cron": "@reboot"}}, "spec.schedule.cron"),
    ("DjangoCommand", {"commands": [["check"]], "schedule": {"cron": "TZ=UTC * * * * *"}}, "spec.schedule.cron"),
    ("DjangoCommand", {"commands": [["check"]], "schedule": {"cron": "@daily", "timeZone": "../x"}}, "spec.schedule.timeZone"),
    ("DjangoCommand", {"commands": [["check"]], "schedule": {"cron": "@daily", "startingDeadlineSeconds": 0}}, "spec.schedule.startingDeadlineSeconds"),
    ("DjangoCommand", {"commands": [["check"]], "schedule": {"cron": "@daily"}, "runPolicy": "OnImageChange"}, "schedule: cannot be set together with runPolicy"),
    ("DjangoCommand", {}, "spec.commands"),
    ("DjangoCommand", {"commands": []}, "spec.commands"),
    ("DjangoCommand", {"commands": [[]]}, "spec.commands[0]"),
    ("DjangoCommand", {"commands": [["check"]] * 17}, "spec.commands"),
    ("DjangoCommand", {"commands": [["check"] * 65]}, "spec.commands[0]"),
    ("DjangoCommand", {"commands": [["check", "a\nb"]]}, "spec.commands[0][1]"),
    ("DjangoCommand", {"commands": [["check", "x" * 4097]]}, "spec.commands[0][1]"),
    ("DjangoCommand", {"commands": [["check"], ["migrate; rm -rf /"]]}, "commands: each begins with the name"),
    ("DjangoCommand", {"commands": [["Migrate"]]}, "commands: each begins with the name"),
    ("DjangoCommand", {"commands": [["../x"]]}, "commands: each begins with the name"),
    ("DjangoCommand", {"commands": [["x" * 65]]}, "commands: each begins with the name"),
    ("DjangoCommand", {"commands": [["check", "--settings=evil"]]}, "commands: --settings and --pythonpath are"),
    ("DjangoCommand", {"commands": [["check", "--pythonpath", "/tmp"]]}, "commands: --settings and --pythonpath are"),
    ("DjangoCommand", {"commands": [["dump", "x" * 4093]] * 4}, "commands: have more than 16384 characters"),
]


@pytest.mark.parametrize("kind, spec, text", REJECTED)
def test_the_api_server_rejects_it_naming_the_field(kube, kind, spec, text):
    done = kube.apply(json.dumps({**task(kind, "bad", **spec)}), "default", check=False)
    assert done.returncode and text in done.stderr, done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_explained(kube, kind):
    crd = kube.call("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s.django.my.domain" % KINDS[kind])
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    def walk(path, node):
        for name, field in node.get("properties", {}).items():
            assert field.get("description"), "%s.%s has no description" % (path, name)
            if path.startswith("spec") and "." not in path:
                text = field["description"]
                assert "Default:" in text or "Required." in text or field.get("properties"), "%s.%s: no default" % (path, name)
            if name not in ("selector", "conditions"):
                walk("%s.%s" % (path, name), field)

    for part in ("spec", "status"):
        walk(part, schema["properties"][part])


def held(kube, ns, wanted, kind="DjangoMigrate", name="m"):
    found = eventually(lambda: (t := kube.get(kind, ns, name)) and reason(t) == wanted and t, "reason " + wanted)
    assert kube.list("Job", ns) == []
    assert (found["status"].get("lastRun") or {}).get("number") is None, "no run number is used up by waiting"
    return found


def test_without_a_target_it_waits_and_proceeds_when_one_comes(kube, ns, operator, kubelet):
    kubelet.work()
    kube.delete("Deployment", ns, "web")
    eventually(lambda: kube.get("Deployment", ns, "web") is None)
    kube.create(ns, task("DjangoMigrate", "m"))
    found = held(kube, ns, "TargetNotFound")
    assert condition(found, "Reconciling")["status"] == "True" and not condition(found, "Stalled")
    assert "app.kubernetes.io/component=django-server" in condition(found, "Ready")["message"]
    kube.create(ns, deployment())
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "m")) == "Succeeded")


def test_of_two_targets_none_is_picked_until_one_is_named(kube, ns, operators, kubelet):
    kubelet.work()
    kube.create(ns, deployment("web2"))
    kube.create(ns, task("DjangoMigrate", "m"))
    operators(ns).start()  # only now, as the two come to it by two watches
    found = held(kube, ns, "TargetAmbiguous")
    assert "web, web2" in condition(found, "Ready")["message"]
    # A release may have two for a while; as a mistake it counts only after ten minutes.
    assert condition(found, "Reconciling")["status"] == "True" and condition(found, "Finished")["status"] == "False"
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"target": {"deployment": "web2"}}})
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and reason(t) == "Succeeded" and t)
    assert done["status"]["lastRun"]["target"]["name"] == "web2"


def test_an_unknown_container_is_named(kube, ns, operator):
    kube.create(ns, task("DjangoMigrate", "m", target={"container": "nope"}))
    found = held(kube, ns, "ContainerNotFound")
    assert "spec.target.container" in condition(found, "Ready")["message"]


def test_an_image_of_another_repository_is_refused_until_the_targets_owner_allows_it(kube, ns, operator, kubelet):
    kubelet.work()
    kube.create(ns, task("DjangoMigrate", "m", image="localhost/other:1"))
    found = held(kube, ns, "ImageNotAllowed")
    assert "spec.image" in condition(found, "Ready")["message"] and condition(found, "Finished")["status"] == "False"
    allow = lambda text: kube.patch("Deployment", ns, "web", {"metadata": {"annotations": {"django.my.domain/allow-images": text}}})  # noqa: E731
    for too_little in ("localhost", "localhost/othe", "localhost/other:2", "localhost/other/"):
        allow(too_little)
    assert reason(kube.get("DjangoMigrate", ns, "m")) == "ImageNotAllowed"
    allow("localhost/other")
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and reason(t) == "Succeeded" and t)
    assert done["status"]["lastRun"]["image"] == "localhost/other:1"


def test_an_object_that_breaks_a_newer_rule_is_judged_by_the_operator_too(kube, ns, operator):
    """A stored object may be older than the rules: here the CRD's rules are taken away for a moment."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/djangoceleries.django.my.domain"
    crd = kube.call("GET", path)
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec.pop("x-kubernetes-validations")
    spec["properties"]["app"].pop("pattern")
    spec["properties"]["retries"].pop("maximum")
    kube.call("PUT", path, crd)
    try:
        bad = task("DjangoCelery", "old", app="a", worker="w", task="t")
        eventually(lambda: kube.call("POST", kube.path("DjangoCelery", ns), bad, ok=()).get("kind") == "DjangoCelery")
        found = held(kube, ns, "InvalidSpec", "DjangoCelery", "old")
        assert "worker: cannot be set together with task" in condition(found, "Ready")["message"]
        for name, spec, text in (("pattern", {"app": "-A"}, "spec.app: write"), ("bound", {"app": "a", "retries": 99}, "spec.retries: is too high; write at most 10")):
            kube.create(ns, task("DjangoCelery", name, **spec))
            found = held(kube, ns, "InvalidSpec", "DjangoCelery", name)
            assert text in condition(found, "Ready")["message"]
    finally:
        restore(kube, "djangoceleries")


def restore(kube, plural):
    """The shipped CRD again, after a test that changed it, and as the API server then enforces it."""
    kube.kubectl("replace", "-f", str(ROOT / "config/crd" / (plural + ".yaml")))
    broken = {"djangoceleries": ("DjangoCelery", {"app": "a", "worker": "w", "task": "t"}), "djangostatics": ("DjangoStatic", {"clear": "perhaps"})}
    kind, spec = broken[plural]
    path = kube.path(kind, "default") + "?dryRun=All"
    eventually(lambda: kube.call("POST", path, task(kind, "probe", **spec), ok=()).get("code") == 422)


def test_a_job_of_somebody_else_under_our_name_is_never_touched(kube, ns, operators, kubelet):
    operator = operators(ns)
    made = kube.create(ns, task("DjangoMigrate", "m", suspend=True))
    # The name is predictable, so the squatter can be there first.
    operator.start()
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "m")) == "Suspended")
    name = job_name(made, 1)
    squatter = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}}},
    }
    uid = kube.create(ns, squatter)["metadata"]["uid"]
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"suspend": False}})
    found = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and reason(t) == "JobNameTaken" and t)
    assert name in condition(found, "Ready")["message"]
    assert kube.get("Job", ns, name)["metadata"]["uid"] == uid
    kube.delete("Job", ns, name)
    kubelet.work()
    kube.patch("DjangoMigrate", ns, "m", {"metadata": {"annotations": {"look": "again"}}})
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "m")) == "Succeeded")


def test_a_helper_that_somebody_deleted_is_made_again(kube, ns, operator, kubelet):
    kubelet.work()
    kube.create(ns, task("DjangoMigrate", "first"))
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "first")) == "Succeeded")
    kubelet.stop()
    (name,) = [c["metadata"]["name"] for c in kube.list("ConfigMap", ns) if c["metadata"]["name"].startswith("django-operator-tasks-")]
    kube.delete("ConfigMap", ns, name)
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: [p for p in kubelet.pods() if p["status"].get("phase") == "Pending"])[0]
    kubelet.tell(pod, "FailedMount", 'MountVolume.SetUp failed for volume "django-operator" : configmap "%s" not found' % name)
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "m")) == "ConfigMissing")
    eventually(lambda: kube.get("ConfigMap", ns, name), "it is there again")


@pytest.mark.parametrize("cause", ["quota", "invalid"])
def test_a_job_that_the_api_server_refuses_is_told_once_and_proceeds(kube, ns, operator, kubelet, audit, cause):
    kubelet.work()
    if cause == "quota":
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
        kube.create(ns, quota)
        refuses(kube, ns, JOB)
    else:
        labels = {"metadata": {"annotations": {"django.my.domain/job-labels": "a=not a label"}}}
        kube.patch("Deployment", ns, "web", labels)
    kube.create(ns, task("DjangoMigrate", "m"))
    found = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and reason(t) == "JobRejected" and t)
    assert ("exceeded quota" if cause == "quota" else "not a label") in condition(found, "Ready")["message"]
    assert condition(found, "Reconciling") and condition(found, "Finished")["status"] == "False", "it is tried again"
    assert found["status"]["lastRun"]["number"] == 1
    user = account(ns)
    settle(audit, user)
    begin = audit.position()
    time.sleep(5)  # a window in which nothing may be written
    assert [e["requestURI"] for e in writes(audit.entries(user, begin)) if e["objectRef"]["resource"] != "jobs"] == []
    if cause == "quota":
        kube.delete("ResourceQuota", ns, "q")
    else:
        kube.patch("Deployment", ns, "web", {"metadata": {"annotations": {"django.my.domain/job-labels": None}}})
    # By itself: it is tried again.
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and reason(t) == "Succeeded" and t)
    assert done["status"]["lastRun"]["number"] == 1


@pytest.mark.parametrize("cause", ["quota", "pod-security"])
def test_a_pod_that_cannot_be_made_says_why_proceeds_by_itself_and_gives_way_to_an_edit(kube, ns, operator, kubelet, cause):
    if cause == "quota":
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
        kube.create(ns, quota)
    else:
        kube.call("PATCH", "/api/v1/namespaces/" + ns, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}, "application/merge-patch+json")
    refuses(kube, ns, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": POD})
    kube.create(ns, task("DjangoMigrate", "edited"))
    kube.create(ns, task("DjangoMigrate", "patient"))
    for name in ("edited", "patient"):
        found = eventually(lambda: (t := kube.get("DjangoMigrate", ns, name)) and reason(t) == "PodRejected" and t)
        text = condition(found, "Ready")["message"]
        assert ("exceeded quota" if cause == "quota" else "violates PodSecurity") in text
    kube.patch("DjangoMigrate", ns, "edited", {"spec": {"trigger": "2"}})
    found = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "edited")) and t["status"]["lastRun"]["number"] == 2 and t)
    assert found["status"]["history"][0]["result"] == "Superseded"
    kubelet.work()
    if cause == "quota":
        kube.delete("ResourceQuota", ns, "q")
    else:
        kube.call("PATCH", "/api/v1/namespaces/" + ns, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": None}}}, "application/merge-patch+json")
    for name, runs in (("edited", 2), ("patient", 1)):
        done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, name)) and reason(t) == "Succeeded" and t, timeout=2 * TIMEOUT)
        assert done["status"]["lastRun"]["number"] == runs


def test_an_edit_supersedes_a_run_whose_pod_never_started(kube, ns, operator, kubelet):
    kube.create(ns, task("DjangoMigrate", "m", image="localhost/myapp:typo"))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.wait(pod, "ErrImagePull", "not found: typo")
    found = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and reason(t) == "ImagePullFailed" and t)
    assert "not found: typo" in condition(found, "Ready")["message"]
    kubelet.wait(pod, "ImagePullBackOff", "back-off")
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"image": "localhost/myapp:2"}})
    eventually(lambda: kube.get("Job", ns, found["status"]["lastRun"]["jobName"]) is None)
    kubelet.work()
    done = eventually(lambda: (t := kube.get("DjangoMigrate", ns, "m")) and reason(t) == "Succeeded" and t)
    assert done["status"]["lastRun"]["number"] == 2 and done["status"]["history"][0]["result"] == "Superseded"


def test_an_object_that_cannot_be_read_gets_a_condition_and_stops_nobody(kube, ns, operator, kubelet):
    kubelet.work()
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/djangostatics.django.my.domain"
    crd = kube.call("GET", path)
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["clear"] = {"x-kubernetes-preserve-unknown-fields": True}
    kube.call("PUT", path, crd)
    bad = task("DjangoStatic", "bad", clear="perhaps")
    try:
        eventually(lambda: kube.call("POST", kube.path("DjangoStatic", ns), bad, ok=()).get("kind") == "DjangoStatic")
        kube.create(ns, task("DjangoStatic", "good"))
        eventually(lambda: reason(kube.get("DjangoStatic", ns, "good")) == "Succeeded")
        found = eventually(lambda: (t := kube.get("DjangoStatic", ns, "bad")) and reason(t) == "Undecodable" and t)
        assert "clear" in condition(found, "Ready")["message"] or "perhaps" in condition(found, "Ready")["message"]
        # The same words of a newer generation are about that one.
        kube.patch("DjangoStatic", ns, "bad", {"spec": {"link": True}})
        eventually(lambda: kube.get("DjangoStatic", ns, "bad")["status"]["observedGeneration"] == 2)
        assert condition(kube.get("DjangoStatic", ns, "bad"), "Ready")["observedGeneration"] == 2
    finally:
        kube.delete("DjangoStatic", ns, "bad")
        restore(kube, "djangostatics")


def test_texts_that_look_like_references_and_unicode_survive_as_they_are(kube, ns, operator, kubelet):
    name = "n" * 120 + "." + "m" * 132
    hostile = "$(SECRET_KEY) ünï \u202e 🦀"
    kube.create(ns, task("DjangoUser", name, username=hostile, email="$(SECRET_KEY)@x", passwordSecretRef={"name": "pw", "key": "k"}))
    pod = eventually(lambda: kubelet.pods())[0]
    env = {e["name"]: e.get("value") for e in pod["spec"]["containers"][0]["env"]}
    assert env["DJANGO_ADMIN_USERNAME"] == hostile.replace("$", "$$")
    assert env["DJANGO_ADMIN_EMAIL"] == "$$(SECRET_KEY)@x"
    assert len(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]) <= 63
