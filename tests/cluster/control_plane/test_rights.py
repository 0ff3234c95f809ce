"""Last: what all operators of this session did, by the API server's own log, against the role they ship with."""

import subprocess

import yaml
from support.kube import ROOT

# Namespaces of tests in which a quota or a policy refuses by 403, a right is taken away (also with its whole namespace), or
# the API server has just begun and does not know its roles yet.
REFUSED_ON_PURPOSE = (
    "that-the-api-server-refuses", "what-the-policy-refuses", "release-that-other-policies", "a-namespace-with-everything",
    "what-the-api-server-says", "a-right-is-taken-away", "what-was-under-way-goes-on", "after-an-outage", "the-helper-is-wherever",
)


def test_the_operators_did_nothing_that_their_role_does_not_name_and_met_no_refusal(audit):
    allowed, named_objects = set(), {}
    for file in ("role.yaml", "lease_role.yaml"):
        for rule in yaml.safe_load((ROOT / "config/rbac" / file).read_text())["rules"]:
            rights = {(g, r, v) for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}
            allowed |= rights
            if rule.get("resourceNames"):
                named_objects.update(dict.fromkeys(rights, set(rule["resourceNames"])))
    used, refused = set(), []
    for entry in audit.entries():
        user = entry["user"].get("username", "")
        if not (user.startswith("system:serviceaccount:") and user.endswith(":django-operator")):
            continue
        if "objectRef" not in entry:
            assert (entry["verb"], entry["requestURI"]) == ("get", "/version"), entry["requestURI"]  # which everybody may
            continue
        ref = entry["objectRef"]
        resource = ref["resource"] + ("/" + ref["subresource"] if ref.get("subresource") else "")
        right = (ref.get("apiGroup", ""), resource, entry["verb"])
        used.add(right)
        assert right not in named_objects or ref["name"] in named_objects[right], (right, ref)
        reply = entry.get("responseStatus", {})
        meant = any(name in (ref.get("namespace") or "") for name in REFUSED_ON_PURPOSE)
        meant |= "being terminated" in reply.get("message", "")
        if reply.get("code") == 403 and not meant:
            refused.append((entry["verb"], entry["requestURI"]))
    assert len(used) > 10, "these tests have to run with the others"
    assert used <= allowed, used - allowed
    assert allowed <= used, "granted, and used by nothing in these tests: %s" % sorted(allowed - used)
    assert refused == []


def test_the_role_holds_nothing_that_people_fear():
    for path in (ROOT / "config").rglob("*role*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            for rule in document.get("rules", []):
                words = {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}
                assert not words & {"secrets", "pods/exec", "pods/log", "pods/attach", "*", "impersonate", "escalate"}


def test_the_operator_of_all_namespaces_watches_all(kube):
    documents = list(yaml.safe_load_all(kube.kubectl("kustomize", str(ROOT / "config/all-namespaces")).stdout))
    manager = [d for d in documents if d["kind"] == "Deployment"][0]
    env = {e["name"]: e for e in manager["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["WATCH_NAMESPACE"] == {"name": "WATCH_NAMESPACE", "value": ""}
    assert "ClusterRole" in {d["kind"] for d in documents}


def test_a_deployment_into_another_namespace_binds_the_account_that_is_there(kube):
    image = "registry.example.com:5000/team/django-operator:0.1.0"
    make = ["make", "-s", "-C", str(ROOT), "overlay", "NAMESPACE=elsewhere", "IMG=" + image]
    subprocess.run(make, check=True, capture_output=True)
    documents = list(yaml.safe_load_all(kube.kubectl("kustomize", str(ROOT / "target/deploy")).stdout))
    assert {d["metadata"]["namespace"] for d in documents} == {"elsewhere"}
    subjects = [s for d in documents for s in d.get("subjects", [])]
    assert len(subjects) == 2 and all(s["namespace"] == "elsewhere" for s in subjects)
    manager = [d for d in documents if d["kind"] == "Deployment"][0]
    assert manager["spec"]["template"]["spec"]["containers"][0]["image"] == image
