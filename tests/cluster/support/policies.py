"""The shipped policies, in force for all tests: what they refuse of what ought to work, a test finds."""

from .kube import ROOT, account, eventually

NS = "django-operator"
NAME = "django-operator-policies"
PARAMETERS = "/api/v1/namespaces/%s/configmaps/%s" % (NS, NAME)
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


def enforce(kube):
    """Applies them as they stand."""
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": NS}}, ok=(201, 409))
    kube.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "policies"))


def set_parameters(kube, values):
    """None: without that one."""
    return kube.call("PATCH", PARAMETERS, {"data": values}, "application/merge-patch+json", ok=(200, 404))


def let_operate(kube, ns, operators_ns):
    """The operator of one namespace works in another, or in its own."""
    user = account(operators_ns)
    if set_parameters(kube, {"operator." + ns: user}).get("code") == 404:
        return  # nothing is in force here
    helper = config_map("django-operator-tasks-let-operate")
    operator = kube.as_user(user)
    path = kube.path("ConfigMap", ns) + "?dryRun=All"
    eventually(lambda: operator.call("POST", path, helper, ok=()).get("code") is None, "the policies know the operator of " + ns)


def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "immutable": True, "data": {"a": "b"}}


def answer(kube, method, path, body=None, kind="application/json"):
    """None, or with which words the policies refused it."""
    found = kube.call(method, path, body, kind, ok=())
    if found.get("kind") != "Status" or found.get("status") == "Success":
        return None
    return found["message"].partition("denied request: ")[2] or found["message"]
