"""The figures that can be read off a control plane without a node."""

import os
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from support.kube import Audit, Kube, deployment, eventually, reason, task, writes
from support.kubelet import Kubelet
from support.operator import Operator, grant

TASKS = 100
NS = "bench"


def stamp(entry):
    return datetime.fromisoformat(entry["requestReceivedTimestamp"].replace("Z", "+00:00")).timestamp()


def done_at(entry):
    return datetime.fromisoformat(entry["stageTimestamp"].replace("Z", "+00:00")).timestamp()


def memory(pid):
    """Resident memory in MB, and the part of it that is not the program's file."""
    status = Path("/proc/%d/status" % pid).read_text()
    kb = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith(("VmRSS", "RssAnon"))}
    return kb["VmRSS"] / 1000, kb["RssAnon"] / 1000


def main():
    kubeconfig = Path(os.environ["KUBECONFIG"])
    kube, audit = Kube(kubeconfig), Audit(kubeconfig.parent / "audit.log")
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": NS}})
    user = grant(kube, NS)
    kube.create(NS, deployment())
    operator = Operator(kube, NS, Path(tempfile.mkdtemp()), LOG_LEVEL="info")

    starts = []
    for _ in range(5):
        began = time.monotonic()
        operator.start(wait=False)
        while not operator.ready():
            time.sleep(0.002)
        starts.append(time.monotonic() - began)
        operator.kill()
    operator.start()
    time.sleep(3)
    idle = memory(operator.process.pid)

    kubelet = Kubelet(kube, NS).work()
    kube.create(NS, task("DjangoMigrate", "warm-up"))
    eventually(lambda: reason(kube.get("DjangoMigrate", NS, "warm-up")) == "Succeeded")
    begin = audit.position()
    for n in range(TASKS):
        kube.create(NS, task("DjangoMigrate", "m%d" % n))
        eventually(lambda: reason(kube.get("DjangoMigrate", NS, "m%d" % n)) == "Succeeded")
    kubelet.stop()
    born, posted, requests = {}, {}, {"read": 0, "write": 0}
    for entry in audit.entries(since=begin):
        ref = entry.get("objectRef", {})
        if entry["verb"] == "create" and ref.get("resource") == "djangomigrates":
            born[ref["name"]] = done_at(entry)
        if entry["user"]["username"] != user or ref.get("resource") == "events":
            continue
        if entry["verb"] == "create" and ref.get("resource") == "jobs":
            posted[ref["name"].rsplit("-", 1)[0]] = stamp(entry)
        if entry["verb"] in ("get", "list"):
            requests["read"] += 1
        elif writes([entry]):
            requests["write"] += 1
    delays = sorted((posted[name] - born[name]) * 1000 for name in born)
    busy = memory(operator.process.pid)
    operator.kill()

    print("figure                                  measured")
    print("created to Job POSTed, p50              %.1f ms" % statistics.median(delays))
    print("created to Job POSTed, p99              %.1f ms" % delays[int(len(delays) * 0.99) - 1])
    print("requests per run (%d runs)             %.2f reads, %.2f writes" % (TASKS, requests["read"] / TASKS, requests["write"] / TASKS))
    print("memory idle (resident, private)         %.1f MB, %.1f MB" % idle)
    print("memory after %d tasks                  %.1f MB, %.1f MB" % ((TASKS,) + busy))
    print("start to ready, median of 5             %.3f s" % statistics.median(starts))
    print("binary                                  %.1f MB" % (os.path.getsize(operator.binary) / 1e6))


if __name__ == "__main__":
    sys.exit(main())
