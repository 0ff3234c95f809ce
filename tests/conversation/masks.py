"""What two end states that mean the same differ in."""

import copy
import json
import re


def masked(status):
    """The status without what differs from one namespace and one second to the next; UIDs and names of Jobs by the order
    in which they come."""
    text = json.dumps(without_times(copy.deepcopy(status)), sort_keys=True)
    for pattern, word in ((r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "uid"), (r"\b[a-z]+-[0-9a-f]{10}\b", "job")):
        known = {}
        text = re.sub(pattern, lambda m: "<%s %d>" % (word, known.setdefault(m.group(), len(known))), text)
    return json.loads(re.sub(r" in \d+s", " in <n>s", text))


def without_times(value):
    if isinstance(value, dict):
        dropped = ("lastTransitionTime", "durationSeconds")
        return {k: "<time>" if is_time(v) else without_times(v) for k, v in value.items() if k not in dropped}
    if isinstance(value, list):
        return [without_times(item) for item in value]
    return value


def is_time(value):
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value)
