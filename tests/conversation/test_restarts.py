"""The API server and its database are killed and come back. Alone on the cluster: it is everybody's."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.kube import account, eventually, jobs_made, reason, settle, task
from test_days import ALL, site  # noqa: F401


class Component:
    """A program of the local cluster's, by its pid file."""

    def __init__(self, name):
        self.state = Path(os.environ["KUBECONFIG"]).parent
        self.name, self.file = name, self.state / (name + ".pid")

    def kill(self):
        pid = int(self.file.read_text())
        self.argv = Path("/proc/%d/cmdline" % pid).read_bytes().decode().rstrip("\0").split("\0")
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not Path("/proc/%d/cmdline" % pid).exists() or not Path("/proc/%d/cmdline" % pid).read_bytes(), "it died")

    def start(self):
        with (self.state / (self.name + ".log")).open("a") as log:
            process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.file.write_text(str(process.pid))


OUTAGES = [(["kube-apiserver"], 3), (["etcd"], 15), (["kube-apiserver", "etcd"], 30)]


@pytest.mark.parametrize("names, seconds", OUTAGES if ALL else OUTAGES[:2], ids=lambda v: str(v).strip("[]'"))
def test_what_was_under_way_goes_on(kube, ns, operators, site, names, seconds):  # noqa: F811
    operator = operators(ns).start()
    site.before()
    components = [Component(name) for name in names]
    for component in components:
        component.kill()
    time.sleep(seconds)  # how long it is away
    for component in reversed(components):
        component.start()
    eventually(is_ready(kube), "the API server answers")
    site.meanwhile()
    site.after()
    assert operator.alive() and "panicked" not in operator.log.read_text()


def is_ready(kube):
    def ready():
        try:
            return kube.http.get(kube.server + "/readyz", timeout=5).status_code == 200
        except OSError:
            return False

    return ready


def test_after_an_outage_there_is_no_storm(kube, ns, operators, kubelet, audit):
    """Many tasks in the middle of their runs; what the API server is asked after it came back stays in proportion."""
    tasks, away = (150, 34) if ALL else (40, 12)
    operators(ns).start()
    begin = audit.position()
    for n in range(tasks):
        kube.create(ns, task("DjangoMigrate", "m%d" % n))
    eventually(lambda: len(kubelet.pods()) == tasks)
    api = Component("kube-apiserver")
    api.kill()
    time.sleep(away)  # how long it is away
    api.start()
    eventually(is_ready(kube), "the API server answers")
    back = audit.position()
    kubelet.work()
    eventually(lambda: all(reason(t) == "Succeeded" for t in kube.list("DjangoMigrate", ns)), "all done")
    settle(audit, account(ns))
    own = [e for e in audit.entries(account(ns), back) if e["verb"] != "watch" and e["objectRef"].get("resource") != "events"]
    conflicts = [e for e in own if e["responseStatus"]["code"] == 409]
    lists = [e for e in own if e["verb"] == "list" and e["objectRef"]["resource"] == "pods"]
    print("conflicts %d, lists of pods %d, calls %d" % (len(conflicts), len(lists), len(own)))
    assert len(conflicts) <= tasks / 4 and len(lists) <= 2 * tasks and len(own) <= 6 * tasks, (len(conflicts), len(lists), len(own))
    assert set(jobs_made(audit.entries(account(ns), begin)).values()) == {1}
