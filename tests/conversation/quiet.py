"""After the last fault everything ends, and then nothing is asked any more."""

import time

from support.kube import account, eventually, settle

# How many plans share one minute.
BATCH = 16


class QuietMinutes:
    """Keeps the operators of plans that are over until there are enough of them, then looks at all for a minute."""

    def __init__(self, kube, audit):
        self.kube, self.audit = kube, audit
        self.waiting = []

    def add(self, ns, operator, proxy, jobs):
        """`jobs`: how many there are in the end."""
        self.waiting.append((ns, operator, proxy, jobs))
        if len(self.waiting) >= BATCH:
            self.check()

    def check(self):
        if not self.waiting:
            return
        accounts = {account(ns): operator for ns, operator, _, _ in self.waiting}
        try:
            for user in accounts:
                settle(self.audit, user)
            assert requests_within(60, self.audit, accounts) == []
            later = [ns for ns, _, _, jobs in self.waiting if len(self.kube.list("Job", ns)) != jobs]
            assert later == [], "Jobs that came or went later"
            dead = [user for user, operator in accounts.items() if not operator.alive()]
            assert dead == [], "ended by themselves"
        finally:
            for ns, operator, proxy, _ in self.waiting:
                operator.kill()
                proxy.close()
                self.kube.call("DELETE", "/api/v1/namespaces/" + ns, ok=(200, 202, 404))
            self.waiting = []


# A watch that failed begins anew after at most that long, and may list first.
WATCH_DELAY = 7


def requests_within(seconds, audit, accounts):
    """What these accounts ask for in that time that they need not, once what the faults led to is over."""
    if seconds > WATCH_DELAY:
        eventually(lambda: not unneeded(WATCH_DELAY, audit, accounts), "the last that follows from a fault")
    return unneeded(seconds, audit, accounts)


def unneeded(seconds, audit, accounts):
    begin = audit.position()
    time.sleep(seconds)  # the window is the promise itself
    entries = [e for e in audit.entries(None, begin) if e["user"].get("username") in accounts and not may_be(e)]
    return [(e["user"]["username"], e["verb"], e["requestURI"]) for e in entries]


def may_be(entry):
    """Watches begin anew, a lease is kept; a stream's last event may be told once more."""
    told = entry["objectRef"].get("resource") == "events" and entry["verb"] in ("create", "patch")
    return entry["verb"] == "watch" or entry["objectRef"].get("resource") == "leases" or told
