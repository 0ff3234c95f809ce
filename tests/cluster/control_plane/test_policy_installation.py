"""One by one: the policies come and go without anybody else noticing."""

from support.kube import JOB, ROOT, eventually, task
from support.policies import LIMITS, answer, config_map, enforce

HELPER = config_map("django-operator-tasks-of-somebody")
MADE_BEFORE = "django-operator-tasks-made-before"


def may(kube, ns, body):
    return answer(kube, "POST", kube.path(body["kind"], ns) + "?dryRun=All", body) is None


def test_they_are_deleted_and_applied_again(kube, empty_ns):
    eventually(lambda: not may(kube, empty_ns, HELPER), "they are in force")
    kube.kubectl("delete", "-k", str(ROOT / "policies"))
    try:
        eventually(lambda: may(kube, empty_ns, HELPER), "they are gone")
        kube.create(empty_ns, {**config_map(MADE_BEFORE), "immutable": False})
    finally:
        enforce(kube)
    eventually(lambda: not may(kube, empty_ns, HELPER), "they are in force again")
    path = kube.path("ConfigMap", empty_ns, MADE_BEFORE)
    for change, allowed in (({"data": {"a": "c"}}, False), ({"immutable": True}, False), ({"metadata": {"labels": {"a": "b"}}}, True)):
        assert (answer(kube, "PATCH", path, change, "application/merge-patch+json") is None) == allowed, change
    for body in (config_map("other"), JOB, task("DjangoMigrate", "m")):
        assert may(kube, empty_ns, body), "what they are not about"


def test_limits_without_their_configmap_are_about_tasks_alone(kube, empty_ns):
    migrate = task("DjangoMigrate", "m")
    assert may(kube, empty_ns, migrate)
    ours = {**JOB, "metadata": {"name": "ours", "labels": {"app.kubernetes.io/managed-by": "django-operator"}}}
    kube.create(empty_ns, ours)
    kube.call("DELETE", LIMITS)
    eventually(lambda: not may(kube, empty_ns, migrate), "nobody knows what is allowed")
    for body in (config_map("other"), JOB):
        assert may(kube, empty_ns, body)
    assert not may(kube, empty_ns, {**ours, "metadata": {**ours["metadata"], "name": "another"}})
    kube.call("DELETE", kube.path("Job", empty_ns, "ours") + "?propagationPolicy=Foreground")
    eventually(lambda: kube.get("Job", empty_ns, "ours") is None, "it is deleted all the same")
    enforce(kube)
    eventually(lambda: may(kube, empty_ns, migrate), "it is known again")
