"""The plans: every call of a recorded run with every fault that fits it. They are numbered in a fixed order, so that a
failing one can be told and played again: `make test-faults PLAN=137`."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from support.proxy import DONE, START, STREAM, UNDONE, Call

RECORDED = Path(__file__).with_name("recorded.json")
# What crashes and networks do to a write; always tried.
WRITES = ("before", "after", "lose-reply", "504-after")


@dataclass(frozen=True)
class Plan:
    number: int
    scenario: str
    call: Call
    fault: str

    def __str__(self):
        call = self.call.name.replace(" ", ".").replace("/", ".")
        return "%d-%s-%s-%d-%s" % (self.number, self.scenario, call, self.call.nth, self.fault)


def faults_for(call):
    if call.verb == "WATCH":
        return (*START, *STREAM)
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
            for fault in faults_for(call):
                plans.append(Plan(len(plans) + 1, scenario, call, fault))
    return plans


def chosen_plans():
    """All, or one by its number, or those that every change is tried with: the writes', and one of each other fault."""
    plans, choice = all_plans(), os.environ.get("FAULTS", "")
    if choice == "all":
        return plans
    if choice:
        return [plan for plan in plans if plan.number == int(choice)]
    chosen, seen = [], set()
    for plan in plans:
        of_a_write = plan.call.is_write and plan.fault in WRITES
        kind = ("write" if plan.call.is_write else plan.call.verb, plan.fault)
        if of_a_write or kind not in seen:
            chosen.append(plan)
            seen.add(kind)
    return chosen
