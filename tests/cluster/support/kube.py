"""The API server, as a test talks to it: JSON in, JSON out, and waiting for conditions."""

import copy
import json
import os
import subprocess
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

import requests
import yaml
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

ROOT = Path(__file__).resolve().parents[3]
GROUP = "/apis/django.my.domain/v1alpha1"
CRDS = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "config/crd").glob("django*.yaml"))]
KINDS = {crd["spec"]["names"]["kind"]: crd["spec"]["names"]["plural"] for crd in CRDS}
PATHS = {
    **{kind: (GROUP, plural) for kind, plural in KINDS.items()},
    "Job": ("/apis/batch/v1", "jobs"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Pod": ("/api/v1", "pods"),
    "PodTemplate": ("/api/v1", "podtemplates"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Secret": ("/api/v1", "secrets"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
}
TIMEOUT = 180  # only ends tests that would hang


class Kube:
    """A client with the rights of the kubeconfig's user."""

    def __init__(self, kubeconfig):
        self.kubeconfig = str(kubeconfig)
        config = yaml.safe_load(Path(kubeconfig).read_text())
        cluster = config["clusters"][0]["cluster"]
        self.server = cluster["server"]
        self.ca = cluster["certificate-authority"]
        self.token = config["users"][0]["user"]["token"]
        self.http = requests.Session()
        # The certificate is the cluster's own and names the service, not the address of this machine.
        self.http.verify, self.http.trust_env = False, False
        requests.packages.urllib3.disable_warnings()
        # The API server stalls with its machine, and says so; to look again changes nothing.
        stalled = [429, *range(500, 505)]
        again = Retry(4, allowed_methods=["GET"], status_forcelist=stalled, raise_on_status=False, backoff_factor=1)
        self.http.mount("https://", HTTPAdapter(max_retries=again))
        self.http.headers["Authorization"] = "Bearer " + self.token

    def as_user(self, name):
        """The same client as somebody else."""
        other = copy.copy(self)
        other.http = copy.copy(self.http)
        other.http.headers = {**self.http.headers, "Impersonate-User": name}
        return other

    def call(self, method, path, body=None, kind="application/json", ok=(200, 201, 202)):
        data = None if body is None else json.dumps(body)
        reply = self.http.request(method, self.server + path, data=data, headers={"Content-Type": kind}, timeout=30)
        if ok and reply.status_code not in ok:
            raise AssertionError("%s %s: %d %s" % (method, path, reply.status_code, reply.text[:2000]))
        return reply.json()

    def path(self, kind, ns, name=""):
        base, plural = PATHS[kind]
        return "%s/namespaces/%s/%s%s" % (base, ns, plural, "/" + name if name else "")

    def get(self, kind, ns, name):
        found = self.call("GET", self.path(kind, ns, name), ok=())
        return None if found.get("code") == 404 else found

    def list(self, kind, ns, selector=""):
        return self.call("GET", self.path(kind, ns) + "?labelSelector=" + selector)["items"]

    def create(self, ns, body):
        return self.call("POST", self.path(body["kind"], ns), body)

    def patch(self, kind, ns, name, body, sub=""):
        return self.call("PATCH", self.path(kind, ns, name) + sub, body, "application/merge-patch+json")

    def delete(self, kind, ns, name):
        return self.call("DELETE", self.path(kind, ns, name) + "?propagationPolicy=Background", ok=(200, 202, 404))

    def kubectl(self, *args, input=None, check=True):
        command = ["kubectl", "--kubeconfig", self.kubeconfig, *args]
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=4 * TIMEOUT)
        if check and done.returncode:
            raise AssertionError("%s\n%s%s" % (" ".join(command), done.stdout, done.stderr))
        return done

    def apply(self, text, ns=None, check=True):
        where = ["-n", ns] if ns else []
        return self.kubectl("apply", *where, "-f", "-", input=text, check=check)


def eventually(probe, what="condition", timeout=TIMEOUT):
    """The first true answer of `probe`; fails with its last answer."""
    deadline, pause = time.monotonic() + timeout, 0.02
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError("not within %d s: %s (last: %r)" % (timeout, what, answer))
        time.sleep(pause)
        pause = min(1.2 * pause, 0.25)


def account(ns):
    """The operator's user, as the API server knows it."""
    return "system:serviceaccount:%s:django-operator" % ns


def becomes(kube, ns, name, wanted, kind="DjangoMigrate", timeout=TIMEOUT):
    """The task when Ready has that reason."""
    return eventually(lambda: (t := kube.get(kind, ns, name)) and reason(t) == wanted and t, "reason " + wanted, timeout)


def message(found):
    return condition(found, "Ready")["message"]


def job_name(task, run):
    """The name of a run's Job, which can be told in advance."""
    digest = sha256()
    for part in (task["metadata"]["uid"], str(run)):
        digest.update(len(part).to_bytes(8, "big") + part.encode())
    return "%s-%s" % (task["metadata"]["name"], digest.hexdigest()[:10])


def refuses(kube, ns, body, code=403):
    """The API server's admission has come to know what it shall refuse."""
    path = kube.path(body["kind"], ns) + "?dryRun=All"
    eventually(lambda: kube.call("POST", path, body, ok=()).get("code") == code, "it refuses")


POD = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec": POD}}}


def sample(kind):
    """The spec of the kind's sample."""
    documents = yaml.safe_load_all((ROOT / ("config/samples/%s.yaml" % kind.lower())).read_text())
    return next(d for d in documents if d["kind"] == kind)["spec"]


def completed_at(kind):
    """The kind's own field of the status."""
    fields = {
        crd["spec"]["names"]["kind"]: set(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"])
        for crd in CRDS
    }
    (own,) = fields[kind] - set.intersection(*fields.values())
    return own


def condition(task, kind):
    found = [c for c in (task.get("status") or {}).get("conditions", []) if c["type"] == kind]
    return found[0] if found else {}


def reason(task, kind="Ready"):
    return condition(task, kind).get("reason")


def task(kind, name, **spec):
    return {
        "apiVersion": "django.my.domain/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def deployment(name="web", label="django-server", containers=None, annotations=None, **pod):
    labels = {"app": name, "app.kubernetes.io/component": label}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": containers or [{"name": "django", "image": "localhost/myapp:1"}], **pod},
            },
        },
    }


class Audit:
    """What the API server wrote down of one user's requests."""

    def __init__(self, path):
        self.path = Path(path)

    def entries(self, user=None, since=0):
        with self.path.open() as log:
            log.seek(since)
            for line in log:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # the last line may still be in the writing
                ended = entry.get("stage") == "ResponseComplete" or entry.get("verb") == "watch"
                if ended and (user is None or entry["user"].get("username") == user):
                    yield entry

    def position(self):
        return os.path.getsize(self.path)


def writes(entries):
    """Requests that change something, events aside."""
    return [
        e
        for e in entries
        if e["verb"] in ("create", "update", "patch", "delete") and e["objectRef"].get("resource") != "events"
    ]


def settle(audit, user, seconds=1.0):
    """Until the operator has written nothing for a while."""

    def quiet():
        begin = audit.position()
        time.sleep(seconds)
        return not writes(audit.entries(user, begin))

    eventually(quiet, "no more writes")


def jobs_made(entries):
    """How often each Job was created."""
    return jobs_written(entries, "create", 201)


def jobs_released(entries):
    """How often each Job that was created suspended was let begin."""
    return jobs_written(entries, "patch", 200)


def jobs_written(entries, verb, code):
    """How often this was done to each Job."""
    return dict(
        Counter(
            e["objectRef"].get("name")
            for e in entries
            if e["verb"] == verb and e.get("objectRef", {}).get("resource") == "jobs" and e["responseStatus"]["code"] == code
        )
    )
