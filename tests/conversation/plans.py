"""The plans: every call of a recorded run with every fault that fits it. They are numbered in a fixed order, so that a
failing one can be told and played again: `make test-faults PLAN=137`."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from support.proxy import DONE, EVENTS, START, STREAM, UNDONE, Call

RECORDED = Path(__file__).with_name("recorded.json")
# What crashes and networks do to a write.
WRITES = ("before", "after", "lose-reply", "504-after")
# Scenarios of which every change is tried with a part of the writes' plans.
SAMPLED = ("Resumed", "Scheduled", "Chain")


@dataclass(frozen=True)
class Plan:
    number: int
    scenario: str
    call: Call
    fault: str

    def __str__(self):
        call = self.call.name.replace(" ", ".").replace("/", ".")
        return "%d-%s-%s-%d-%s" % (self.number, self.scenario, call, self.call.nth, self.fault)


# What happens in each scenario happens to these; of each other fault, that at the first of them is tried with every change.
BUSY = ("jobs", "pods", "djangomigrates", "djangoceleries", "djangocommands", "djangostatics")


def resource(call):
    return call.name.split()[1].split("/")[0]


def tasks_of(scenario):
    """The resources of a scenario's tasks."""
    others = {
        "Purge": {"djangoceleries"}, "Resumed": {"djangocommands"}, "Scheduled": {"djangocommands"},
        "Chain": {"djangomigrates", "djangostatics"},
    }
    return others.get(scenario, {"djangomigrates"})


def faults_for(scenario, call):
    if call.verb == "WATCH":
        return (*START, *STREAM, *(EVENTS if resource(call) in {"jobs", "pods", *tasks_of(scenario)} else ()))
    if call.verb == "NEXT":
        return ("410", "hang", "500", "lose-request")
    if call.verb == "LIST" and call.nth > 1:
        return (*UNDONE, *DONE, "stale")
    if call.is_write:
        return (*UNDONE, *DONE)
    return tuple(fault for fault in (*UNDONE, *DONE) if fault not in ("504-after", "late"))


def recorded():
    """The calls of each scenario's run without a fault."""
    text = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    return {scenario: [Call(name, nth) for name, nth in calls] for scenario, calls in text.items()}


def all_plans():
    plans = []
    for scenario, calls in recorded().items():
        for call in calls:
            if call.name == "LIST events" and call.nth > 1:
                continue  # a look that is repeated as time goes by, and so may not be
            for fault in faults_for(scenario, call):
                plans.append(Plan(len(plans) + 1, scenario, call, fault))
    return plans


def chosen_plans():
    """All, or one by its number, or those that every change is tried with: the writes' of the oldest scenarios, a few of the
    others', and one of each other fault."""
    plans, choice = all_plans(), os.environ.get("FAULTS", "")
    if choice == "all":
        return plans
    if choice:
        return [plan for plan in plans if plan.number == int(choice)]
    writes = [plan for plan in plans if plan.call.is_write and plan.fault in WRITES]
    chosen = {plan for plan in writes if plan.scenario not in SAMPLED}
    # Every seventh, so that the four faults take turns.
    chosen |= set([plan for plan in writes if plan.scenario in SAMPLED][::7])
    others = {}
    for plan in sorted(plans, key=weight):
        if plan not in chosen:
            # What is believed of a task, a Job and a pod is believed by different code.
            which = resource(plan.call) if plan.fault == "old" else None
            others.setdefault((kind(plan.call), plan.fault, which), plan)
    return sorted({*chosen, *others.values()}, key=lambda plan: plan.number)


def kind(call):
    return "write" if call.is_write else "watch" if call.verb == "WATCH" else "read"


def weight(plan):
    """Which of several plans with one fault tells most."""
    busy = BUSY.index(resource(plan.call)) if resource(plan.call) in BUSY else len(BUSY)
    at_start = plan.call.verb == "LIST" and plan.call.nth == 1
    return (at_start, busy, plan.call.is_write and plan.call.verb != "POST", plan.number)
