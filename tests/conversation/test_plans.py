"""Each plan: one fault at one call. However it goes, each run has one Job that could start, everything ends as it would
have without the fault, and then nothing more is asked."""

import json
import os
import threading

import pytest
from masks import masked
from plans import RECORDED, chosen_plans, recorded, tasks_of
from scenarios import SCENARIOS
from support.fixtures import furnish, make_namespace, unique_name
from support.kube import account, eventually, jobs_made, jobs_released, settle
from support.kubelet import Kubelet
from support.operator import Operator
from support.proxy import CRASHES, Call, Proxy

# So that lists have a second page.
PAGE = 1
# So that what takes a watch's life takes little time.
SHORT_WATCH = {"WATCH_SECONDS": "10"}


class Stage:
    """A namespace of its own, with an operator behind a proxy, which is started again whenever it dies."""

    def __init__(self, kube, audit, directory, name, plan=None, **env):
        self.kube, self.audit = kube, audit
        self.ns = furnish(kube, make_namespace(kube, unique_name(name)))
        self.proxy = Proxy(kube.server, plan, lambda: self.operator.kill() if self.crashing else None, page=PAGE)
        self.operator = Operator(kube, self.ns, directory, server=self.proxy.url, **env)
        self.crashing = False

    def run(self, scenario, crashing=False, late_job=False):
        """Plays a scenario; the end state, and what there is in the namespace."""
        self.crashing = crashing
        begin = self.audit.position()
        stopping = threading.Event()

        def revive():
            while not stopping.wait(0.05):
                if not self.operator.alive():
                    self.operator.start(wait=False)

        self.operator.start(wait=False)
        keeper = threading.Thread(target=revive if crashing else stopping.wait, daemon=True)
        keeper.start()
        story = scenario(self.kube, self.ns, Kubelet(self.kube, self.ns))
        try:
            story.act()
            settle(self.audit, account(self.ns))
        finally:
            stopping.set()
            keeper.join()
        assert self.operator.alive() and "panicked" not in self.operator.log.read_text()
        entries = list(self.audit.entries(account(self.ns), begin))
        made, released = jobs_made(entries), jobs_released(entries)
        # What comes late may make a Job whose run is over, after its first Job was deleted: it is found, and deleted.
        most = 2 if late_job else 1
        assert len(made) == scenario.jobs and all(1 <= times <= most for times in made.values()), made
        assert released == (dict.fromkeys(made, 1) if scenario.held else {}), released
        eventually(lambda: not self.pods_without_job(), "the pods of pruned Jobs collected")
        counts = {kind: len(self.kube.list(kind, self.ns)) for kind in ("Job", "Pod", "ConfigMap", scenario.kind)}
        return {"status": masked(story.get()["status"]), "objects": counts}

    def pods_without_job(self):
        """Pods whose Job is gone and which the garbage collector has yet to remove."""
        jobs = {job["metadata"]["uid"] for job in self.kube.list("Job", self.ns)}
        owners = (owner for pod in self.kube.list("Pod", self.ns) for owner in pod["metadata"].get("ownerReferences", []))
        return [owner["name"] for owner in owners if owner["kind"] == "Job" and owner["uid"] not in jobs]


FAULTLESS = {}


@pytest.fixture
def faultless(kube, audit, tmp_path, quiet_minutes):
    """The end state of a scenario without a fault, learned once."""

    def learn(name):
        if name not in FAULTLESS:
            stage = Stage(kube, audit, tmp_path, "faultless-" + name)
            FAULTLESS[name] = stage.run(SCENARIOS[name])
            quiet_minutes.add(stage.ns, stage.operator, stage.proxy, FAULTLESS[name]["objects"]["Job"])
        return FAULTLESS[name]

    return learn


@pytest.mark.parametrize("plan", chosen_plans(), ids=str)
def test_a_fault_at_one_call_changes_nothing(kube, audit, tmp_path, faultless, quiet_minutes, plan):
    expected = faultless(plan.scenario)
    planned = []

    def at(call):
        # A look that is repeated until something has happened may come a time less or more; and what is old comes for as
        # long as something is watched.
        if call.name == plan.call.name and call.nth >= plan.call.nth and (not planned or plan.fault == "old"):
            planned.append(plan.fault)
            return plan.fault
        return None

    short = SHORT_WATCH if plan.call.verb == "WATCH" else {}
    stage = Stage(kube, audit, tmp_path, "plan-%d" % plan.number, at, **short)
    try:
        late_job = (plan.call.name, plan.fault) == ("POST jobs", "late")
        state = stage.run(SCENARIOS[plan.scenario], crashing=plan.fault in CRASHES, late_job=late_job)
        assert stage.proxy.struck, "the fault did not happen"
        assert state == expected
    except BaseException:
        stage.operator.kill()
        stage.proxy.close()
        raise
    quiet_minutes.add(stage.ns, stage.operator, stage.proxy, expected["objects"]["Job"])


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_recording_is_of_what_happens(kube, audit, tmp_path, quiet_minutes, name):
    """The plans are made from it. RECORD=1 writes it anew."""
    stage = Stage(kube, audit, tmp_path, "record-" + name)
    state = stage.run(SCENARIOS[name])
    quiet_minutes.add(stage.ns, stage.operator, stage.proxy, state["objects"]["Job"])
    seen = {(call.name, call.nth) for call in stage.proxy.names()}
    if os.environ.get("RECORD"):
        known = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
        # A watch that began anew is one like the others; the first of each is enough.
        known[name] = sorted(c for c in seen if not c[0].startswith("WATCH") or c[1] == 1)
        ordered = {scenario: known[scenario] for scenario in SCENARIOS if scenario in known}
        RECORDED.write_text(json.dumps(ordered, indent=1) + "\n")
        return
    planned = {call.name for call in recorded()[name]}
    # Where an edit overtakes a status that is being written, the task is read, and the status written, once more.
    reads = {"GET " + tasks for tasks in tasks_of(name)} - planned
    overtaken = {call for call in seen if call[0] in reads}
    names = {call for call, _ in seen - overtaken}
    assert names == planned, "calls without a plan, or plans without a call; record them by RECORD=1"
    writes = {(call.name, call.nth) for call in recorded()[name] if call.is_write}
    # On a slow machine the Job's UID is worth a write of its own.
    own = {(name, nth) for name, nth in seen if Call(name, nth).is_write}
    assert writes <= own and len(own) <= len(writes) + SCENARIOS[name].jobs + len(overtaken), own ^ writes
