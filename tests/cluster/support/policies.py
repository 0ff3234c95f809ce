"""The shipped policies, in force for all tests: what they refuse of what ought to work, a test finds."""

import json

import yaml

from .kube import ROOT

# Of the API server's version.
GATE = "policies/gate/v1beta1"
LIMITS_NS = "django-operator-limits"
LIMITS = "/api/v1/namespaces/%s/configmaps/limits" % LIMITS_NS
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
SHIPPED_ACCOUNT = "system:serviceaccount:django-operator:django-operator"
# Each test has an operator of its own, in a namespace whose name nobody knows before.
IS_OPERATOR = "'%s'.findAll(r'[^,\\s]+').exists(account, account == request.userInfo.username)" % SHIPPED_ACCOUNT
IS_ANY_OPERATOR = "request.userInfo.username.matches('^system:serviceaccount:[^:]+:django-operator$')"


def enforce(kube):
    """Applies them as they stand, but for the list of operators."""
    found = 0
    for directory in ("policies", "policies/limits"):
        documents = list(yaml.safe_load_all(kube.kubectl("kustomize", str(ROOT / directory)).stdout))
        text, shipped = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}), json.dumps(IS_OPERATOR)[1:-1]
        found += text.count(shipped)
        text = text.replace(shipped, json.dumps(IS_ANY_OPERATOR)[1:-1])
        kube.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)
    assert found == 2, "the list of operators stands in two policies"
    kube.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / GATE))


def set_limits(kube, values):
    """None: without that one."""
    return kube.call("PATCH", LIMITS, {"data": values}, "application/merge-patch+json")


def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "immutable": True, "data": {"a": "b"}}


def answer(kube, method, path, body=None, kind="application/json"):
    """None, or with which words the policies refused it."""
    found = kube.call(method, path, body, kind, ok=())
    if found.get("kind") != "Status" or found.get("status") == "Success":
        return None
    return found["message"].partition("denied request: ")[2] or found["message"]
