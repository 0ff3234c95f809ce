"""The operator as a process of its own, under its own service account with the roles that it ships."""

import functools
import itertools
import os
import signal
import socket
import subprocess
import urllib.request

import yaml

from .kube import ROOT, TIMEOUT, account, eventually

ACCOUNT = "django-operator"


def binary():
    return os.environ.get("OPERATOR_BINARY") or str(ROOT / "target/x86_64-unknown-linux-gnu/release/django-operator")


@functools.lru_cache
def roles(kubectl):
    """The shipped account, roles and bindings."""
    return kubectl("kustomize", str(ROOT / "config/rbac")).stdout


def grant(kube, ns, watched=()):
    """The shipped roles, in a namespace of the test's."""
    for target in (ns, *watched):
        for document in yaml.safe_load_all(roles(kube.kubectl)):
            if target != ns and (document["kind"] == "ServiceAccount" or "lease" in document["metadata"]["name"]):
                continue
            document["metadata"]["namespace"] = target
            for subject in document.get("subjects", []):
                subject["namespace"] = ns
            kube.call("POST", kube.path(document["kind"], target), document, ok=(201, 409))  # it may be there already
    user = account(ns)
    for target in (ns, *watched):
        eventually(lambda: may(kube, user, target, "list", "django.my.domain", "djangomigrates"), "the role is in force")
    eventually(lambda: may(kube, user, ns, "create", "coordination.k8s.io", "leases"), "the role is in force")
    return user


def may(kube, user, ns, verb, group, resource, subresource=""):
    what = {"namespace": ns, "verb": verb, "group": group, "resource": resource, "subresource": subresource}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": user, "resourceAttributes": what}}
    return kube.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"]


# Below the ports that the kernel gives to clients, so that none takes one while an operator is restarted; each
# worker of pytest-xdist has its own thousand.
PORTS = itertools.count(20000 + 1000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]))


def is_free(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


def write_kubeconfig(kube, ns, account_name, path, server=None):
    """For a service account; its path."""
    reply = kube.call(
        "POST",
        "/api/v1/namespaces/%s/serviceaccounts/%s/token" % (ns, account_name),
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    cluster = {"server": server or kube.server}
    if not server:
        cluster.update({"certificate-authority": kube.ca, "tls-server-name": "kubernetes.default.svc"})
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": reply["status"]["token"]}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": ns}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))
    return path


class Operator:
    """Starts, kills and restarts one operator."""

    def __init__(self, kube, ns, directory, server=None, binary_path=None, name="operator", **env):
        self.kube, self.ns, self.directory = kube, ns, directory
        self.name, self.binary = name, binary_path or binary()
        self.port = next(filter(is_free, PORTS))
        self.process = None
        self.config = write_kubeconfig(kube, ns, ACCOUNT, directory / ("%s.kubeconfig" % name), server)
        self.log = directory / ("%s.log" % name)
        self.env = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(self.config),
            "WATCH_NAMESPACE": ns,
            "POD_NAMESPACE": ns,
            "POD_NAME": name,
            "METRICS_ADDRESS": "127.0.0.1:%d" % self.port,
            "LOG_LEVEL": "info,django_operator=debug",
            **env,
        }

    def start(self, wait=True):
        with self.log.open("a") as log:
            self.process = subprocess.Popen([self.binary, "run"], env=self.env, stdout=log, stderr=log)
        if wait:
            eventually(self.ready, "operator ready; log: %s" % self.log)
        return self

    def ready(self):
        try:
            return self.http("/readyz")[0] == 200
        except OSError:
            return False

    def answers(self):
        try:
            return self.http("/livez")
        except OSError:
            return None

    def http(self, path):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.port, path), timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=TIMEOUT)

    def alive(self):
        return self.process is not None and self.process.poll() is None
