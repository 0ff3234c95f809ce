"""What a rollout looks like from outside: when containers started, and whether anybody was left without an answer."""

from datetime import datetime

from .kube import eventually

ASKING = """
import time, urllib.request
while True:
    try:
        answer = urllib.request.urlopen("%s", timeout=30).status
    except Exception as error:
        answer = repr(error)
    print(answer, flush=True)
    time.sleep(0.05)
"""


def when(text):
    return datetime.fromisoformat(text)


def main_starts(kube, ns, app, image):
    """When the main containers of that image started."""
    starts = []
    for pod in kube.list("Pod", ns, "app=" + app):
        for status in pod["status"].get("containerStatuses", []):
            for state in (*status["state"].values(), *status.get("lastState", {}).values()):
                if state.get("startedAt") and status["image"].endswith(image):
                    starts.append(when(state["startedAt"]))
    return starts


def migrated_at(kube, ns, name):
    """When the newest run's own container had ended, by its node's clock, as the starts of others are."""
    run = kube.get("DjangoMigrate", ns, name)["status"]["lastRun"]
    assert run["result"] == "Succeeded"
    (pod,) = kube.list("Pod", ns, "batch.kubernetes.io/job-name=" + run["jobName"])
    (ended,) = [s["state"]["terminated"] for s in pod["status"]["containerStatuses"] if s["name"] == run["target"]["container"]]
    return when(ended["finishedAt"])


class Requests:
    """Constant requests from a pod through a Service, each with a connection of its own, until the end of the block."""

    def __init__(self, kube, ns, url):
        self.kube, self.ns, self.answers = kube, ns, []
        security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        container = {
            "name": "asking", "image": "localhost/myapp:1", "imagePullPolicy": "IfNotPresent", "securityContext": security,
            "command": ["python3", "-c", ASKING % url],
        }
        self.pod = {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asking"},
            "spec": {
                "containers": [container], "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            },
        }

    def log(self, check=True):
        return self.kube.kubectl("logs", "-n", self.ns, "asking", check=check).stdout.splitlines()

    def __enter__(self):
        self.kube.create(self.ns, self.pod)
        eventually(lambda: "200" in self.log(check=False), "it is answered")
        return self

    def __exit__(self, *_):
        answers = self.log()
        self.answers = answers[answers.index("200"):]  # before that, the network of its pod was not ready
        self.kube.kubectl("delete", "-n", self.ns, "pod/asking", "--wait")

    def assert_answered(self):
        """Not one request failed."""
        assert len(self.answers) > 20 and set(self.answers) == {"200"}, [a for a in self.answers if a != "200"]
