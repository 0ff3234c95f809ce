"""Pods without a node: the test, or a thread of its own, says how they are."""

import json
import os
import threading
from datetime import UTC, datetime

from .kube import GROUP, TIMEOUT, eventually  # noqa: F401  (one module knows the paths)

OK = {"ok": True, "action": "applied", "count": 1, "names": ["myapp.0001_initial"], "settings": "myapp.settings"}


def container_status(name, state, restarts=0):
    ready = "running" in state
    return {
        "name": name, "image": "i", "imageID": "i", "ready": ready, "restartCount": restarts, "started": ready,
        "state": state, "lastState": {},
    }


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Kubelet:
    def __init__(self, kube, ns):
        self.kube, self.ns = kube, ns
        self.stopping = threading.Event()
        self.thread = None

    def pods(self, job=None):
        selector = "app.kubernetes.io/managed-by=django-operator"
        if job:
            selector += ",batch.kubernetes.io/job-name=" + job
        return self.kube.list("Pod", self.ns, selector)

    def pod_of_run(self, kind, name, run, timeout=TIMEOUT):
        """The pod of a task's run of that number, when it is there."""

        def pending():
            last = (self.kube.get(kind, self.ns, name).get("status") or {}).get("lastRun") or {}
            if last.get("number") != run:
                return None
            pods = [p for p in self.pods(last["jobName"]) if "deletionTimestamp" not in p["metadata"]]
            return pods and pods[0]

        return eventually(pending, "a pod of %s %s, run %d" % (kind, name, run), timeout)

    def set(self, pod, phase, state, **status):
        name = pod["spec"]["containers"][0]["name"]
        self.kube.patch(
            "Pod", self.ns, pod["metadata"]["name"],
            {"status": {"phase": phase, "startTime": now(), "containerStatuses": [container_status(name, state)], **status}},
            "/status",
        )

    def run(self, pod):
        self.set(pod, "Running", {"running": {"startedAt": now()}})

    def end(self, pod, code=0, line=OK, reason=None):
        message = line if isinstance(line, str) else json.dumps(line)
        state = {
            "terminated": {
                "exitCode": code, "reason": reason or ("Error" if code else "Completed"), "message": message,
                "startedAt": now(), "finishedAt": now(),
            }
        }
        self.set(pod, "Failed" if code else "Succeeded", state)

    def wait(self, pod, reason, message):
        self.set(pod, "Pending", {"waiting": {"reason": reason, "message": message}})

    def give_up(self, pod):
        """Ends a pod that was deleted before it had containers, in the real kubelet's words."""
        message = "The container could not be located when the pod was terminated"
        self.set(pod, "Failed", {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": message}})

    def tell(self, pod, reason, note, kind="Warning"):
        """An event about the pod, as the kubelet reports it."""
        about = {k: pod["metadata"][k] for k in ("name", "namespace", "uid")}
        self.kube.create(self.ns, {
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "type": kind, "reason": reason, "note": note, "action": "Run",
            "metadata": {"name": "%s.%s" % (pod["metadata"]["name"], os.urandom(4).hex())},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "regarding": {"apiVersion": "v1", "kind": "Pod", **about},
            "reportingController": "kubelet", "reportingInstance": "node",
        })

    def work(self):
        """Lets every pod succeed, until told to stop."""
        def loop():
            while not self.stopping.wait(0.05):
                try:
                    for pod in self.pods():
                        if pod["status"].get("phase") in ("Pending", "Running") and "deletionTimestamp" not in pod["metadata"]:
                            self.run(pod)
                            self.end(pod)
                except Exception:  # a pod may go while it is looked at
                    continue

        self.thread = threading.Thread(target=loop, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.stopping.set()
        if self.thread:
            self.thread.join()
