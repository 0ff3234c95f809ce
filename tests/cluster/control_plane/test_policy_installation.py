"""One by one: the policies come and go without anybody else noticing."""

from support.kube import JOB, ROOT, eventually, task
from support.policies import LIMITS, answer, config_map, enforce

HELPER = config_map("django-operator-tasks-of-somebody")


def may(kube, ns, body):
    return answer(kube, "POST", kube.path(body["kind"], ns) + "?dryRun=All", body) is None


def test_they_are_deleted_and_applied_again(kube, empty_ns):
    eventually(lambda: not may(kube, empty_ns, HELPER), "they are in force")
    kube.kubectl("delete", "-k", str(ROOT / "policies"))
    try:
        eventually(lambda: may(kube, empty_ns, HELPER), "they are gone")
    finally:
        enforce(kube)
    eventually(lambda: not may(kube, empty_ns, HELPER), "they are in force again")
    for body in (config_map("other"), JOB, task("DjangoMigrate", "m")):
        assert may(kube, empty_ns, body), "what they are not about"


def test_limits_without_their_configmap_are_about_tasks_alone(kube, empty_ns):
    migrate = task("DjangoMigrate", "m")
    assert may(kube, empty_ns, migrate)
    kube.call("DELETE", LIMITS)
    eventually(lambda: not may(kube, empty_ns, migrate), "nobody knows what is allowed")
    for body in (config_map("other"), JOB):
        assert may(kube, empty_ns, body)
    enforce(kube)
    eventually(lambda: may(kube, empty_ns, migrate), "it is known again")
