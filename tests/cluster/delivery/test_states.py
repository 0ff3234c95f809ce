"""What those who wait for resources make of our conditions, in every state that a task can show (tests/states.rs)."""

import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from delivery.conftest import ARGO, BIN
from support.kube import KINDS, ROOT, condition

STATES = json.loads((ROOT / "tests/states/states.json").read_text())


def judge(*argv, about):
    command = [str(BIN / "judge"), *map(str, argv)]
    done = subprocess.run(command, input=json.dumps(about), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def holds(state, kind):
    return condition(state, kind).get("status") == "True"


def expected(state):
    """What kstatus and Argo CD are to make of it."""
    if state["status"]["observedGeneration"] != state["metadata"]["generation"]:
        return "InProgress", "Progressing"
    if holds(state, "Stalled"):
        return "Failed", "Degraded"
    if holds(state, "Ready"):
        return "Current", "Healthy"
    return "InProgress", "Suspended" if holds(state, "Suspended") and not holds(state, "Reconciling") else "Progressing"


def differences(states):
    verdicts = judge(ARGO / "health.lua", about=states)
    found = zip(states, verdicts, strict=True)
    return [(state, verdict) for state, verdict in found if (verdict["Kstatus"], verdict["Health"]) != expected(state)]


def test_kstatus_and_argo_cd_agree_with_our_conditions_in_every_state():
    assert len(STATES) > 200 and {expected(state)[0] for state in STATES} == {"InProgress", "Failed", "Current"}
    assert not differences(STATES)


def shape(state):
    """The conditions without their reasons."""
    return state["metadata"]["name"].endswith("edited"), *sorted((c["type"], c["status"]) for c in state["status"].get("conditions", []))


@pytest.fixture
def stored(kube, cluster_helm_4, empty_ns):
    """One of each kind of state, as the API server stores it, where no operator works."""
    objects = []
    for state in {shape(state): state for state in STATES}.values():
        name, edited = state["metadata"]["name"], state["metadata"]["name"].endswith("edited")
        made = {**state, "metadata": {"name": name}, "status": None}
        del made["status"]
        kube.create(empty_ns, made)
        # A new object is of the first generation.
        status = json.loads(json.dumps(state["status"]).replace('"observedGeneration": 2', '"observedGeneration": 1'))
        kube.patch("DjangoMigrate", empty_ns, name, {"status": status}, sub="/status")
        if edited:
            kube.patch("DjangoMigrate", empty_ns, name, {"spec": {"trigger": "another"}})
        objects.append(kube.get("DjangoMigrate", empty_ns, name))
    return objects


def test_what_the_cluster_stores_is_read_alike_and_kubectl_waits_as_it_should(kube, stored):
    assert not differences(stored)
    for state in stored:
        name, ns = "djm/" + state["metadata"]["name"], state["metadata"]["namespace"]
        current = state["status"]["observedGeneration"] == state["metadata"]["generation"]
        for kind in ("Ready", "Finished"):
            waited = kube.kubectl("wait", "-n", ns, name, "--for=condition=" + kind, "--timeout=0", check=False)
            assert (waited.returncode == 0) == (current and holds(state, kind)), (state, waited)


def test_the_health_check_says_what_its_own_test_says():
    tests = yaml.safe_load((ARGO / "health_test.yaml").read_text())["tests"]
    objects = [yaml.safe_load((ARGO / test["inputPath"]).read_text()) for test in tests]
    verdicts = judge(ARGO / "health.lua", about=objects)
    assert [{"status": v["Health"], "message": v["HealthMessage"]} for v in verdicts] == [test["healthStatus"] for test in tests]


@pytest.mark.parametrize("kind", ["_", *KINDS])
def test_the_actions_do_what_their_own_test_says(kind):
    actions = ARGO.parent / kind / "actions"
    tests = yaml.safe_load((actions / "action_test.yaml").read_text())

    def load(path):
        return yaml.safe_load((actions / path).read_text())

    for test in tests["discoveryTests"]:
        found = judge("action", actions / "discovery.lua", actions / "suspend/action.lua", about=load(test["inputPath"]))["actions"]
        assert {r["name"]: {k: v for k, v in r.items() if k != "name"} for r in test["result"]} == found
    for test in tests["actionTests"]:
        script = actions / test["action"] / "action.lua"
        after = judge("action", actions / "discovery.lua", script, about=load(test["inputPath"]))["object"]
        assert after == load(test["expectedOutputPath"])
        assert kind in ("_", after["kind"])


def test_run_again_asks_as_the_annotation_does():
    made = yaml.safe_load((ARGO / "testdata/succeeded.yaml").read_text())
    after = judge("action", ARGO / "actions/discovery.lua", ARGO / "actions/rerun/action.lua", about=made)["object"]
    asked = datetime.fromisoformat(after["metadata"]["annotations"].pop("django.my.domain/requestedAt"))
    assert abs(datetime.now(UTC) - asked) < timedelta(minutes=1)
    del after["metadata"]["annotations"]
    assert after == made


def test_argo_cds_config_map_has_the_same_scripts_for_each_kind():
    data = yaml.safe_load((ROOT / "config/argo-cd/argocd-cm.yaml").read_text())["data"]
    keys = {"resource.customizations.%s.django.my.domain_%s" % (part, kind) for part in ("health", "actions") for kind in KINDS}
    assert set(data) == keys
    for key, text in data.items():
        if ".health." in key:
            assert text == (ARGO / "health.lua").read_text()
            continue
        actions = yaml.safe_load(text)
        assert actions["discovery.lua"] == (ARGO / "actions/discovery.lua").read_text()
        for definition in actions["definitions"]:
            assert definition["action.lua"] == (ARGO / "actions" / definition["name"] / "action.lua").read_text()
