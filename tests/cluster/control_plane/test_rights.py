"""Last: what all operators of this session did, by the API server's own log, against the role they ship with."""

from support.kube import ROOT

import yaml


def test_the_operators_did_nothing_that_their_role_does_not_name_and_met_no_refusal(audit):
    allowed = set()
    for file in ("role.yaml", "lease_role.yaml"):
        for rule in yaml.safe_load((ROOT / "config/rbac" / file).read_text())["rules"]:
            allowed |= {(g, r, v) for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}
    used, refused = set(), []
    for entry in audit.entries():
        user = entry["user"].get("username", "")
        if not (user.startswith("system:serviceaccount:") and user.endswith(":django-operator")):
            continue
        ref = entry["objectRef"]
        resource = ref["resource"] + ("/" + ref["subresource"] if ref.get("subresource") else "")
        used.add((ref.get("apiGroup", ""), resource, entry["verb"]))
        named = "that-the-api-server-refuses" in (ref.get("namespace") or "")  # a quota refuses by 403
        if entry.get("responseStatus", {}).get("code") == 403 and not named:
            refused.append((entry["verb"], entry["requestURI"]))
    assert len(used) > 10, "these tests have to run with the others"
    assert used <= allowed, used - allowed
    assert refused == []


def test_the_role_holds_nothing_that_people_fear():
    for path in (ROOT / "config").rglob("*role*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            for rule in document.get("rules", []):
                words = {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}
                assert not words & {"secrets", "pods/exec", "pods/log", "pods/attach", "*", "impersonate", "escalate"}
