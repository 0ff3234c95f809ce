"""Argo CD's engine and Flux's controller, as they deliver a directory of examples."""

import hashlib
import os
import socket
import subprocess
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import yaml
from delivery.conftest import ARGO, BIN
from support.kube import condition, eventually, reason

FLUX = "flux-system"
KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/%s/kustomizations" % FLUX
SOURCES = "/apis/source.toolkit.fluxcd.io/v1/namespaces/%s/gitrepositories" % FLUX


class ArgoCD:
    """Its engine, with our health check; a sync is one call of it."""

    example = "argo-cd"

    def __init__(self, kube, ns, _directory):
        self.kube, self.ns = kube, ns

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def deploy(self, examples):
        """What went wrong, if anything did."""
        rendered = subprocess.run(["kubectl", "kustomize", str(examples / self.example)], capture_output=True, text=True, check=True).stdout
        command = [str(BIN / "argocd-sync"), self.ns, str(BIN / "judge"), str(ARGO / "health.lua")]
        env = {**os.environ, "KUBECONFIG": self.kube.kubeconfig}
        done = subprocess.run(command, input=rendered, env=env, capture_output=True, text=True)
        return done.stdout + done.stderr if done.returncode else None


class ArgoCDPreSync(ArgoCD):
    """The same with a hook before the sync."""

    example = "argo-cd-presync"


class Flux:
    """Its kustomize-controller, on a source whose revisions the test writes."""

    def __init__(self, kube, ns, directory):
        self.kube, self.ns, self.directory = kube, ns, directory
        self.published = directory / "published"
        self.published.mkdir()
        handler = partial(SimpleHTTPRequestHandler, directory=str(self.published))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.kube.kubectl("apply", "--server-side", "-f", str(BIN / "flux-crds"))
        self.kube.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(BIN / "flux-crds"))
        self.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": FLUX}})
        source = {"url": "https://git.example.com/deploy", "interval": "10m"}
        self.source = {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "deploy"}, "spec": source}
        self.kube.call("POST", SOURCES, self.source)
        env = {**os.environ, "KUBECONFIG": self.kube.kubeconfig, "RUNTIME_NAMESPACE": FLUX, "TMPDIR": str(self.directory)}
        command = [str(BIN / "kustomize-controller"), "--metrics-addr=0", "--health-addr=127.0.0.1:%d" % free_port(), "--requeue-dependency=2s"]
        self.log = (self.directory / "kustomize-controller.log").open("w")
        self.controller = subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        for made in self.kube.call("GET", KUSTOMIZATIONS)["items"]:
            self.kube.call("DELETE", "%s/%s" % (KUSTOMIZATIONS, made["metadata"]["name"]))
        try:
            eventually(lambda: not self.kube.call("GET", KUSTOMIZATIONS)["items"], "Flux has taken away what it applied")
        finally:
            self.controller.terminate()
            self.controller.wait(30)
            self.server.shutdown()
            self.log.close()
            self.kube.kubectl("delete", "namespace", FLUX)
            self.kube.kubectl("delete", "-f", str(BIN / "flux-crds"))

    def deploy(self, examples):
        """A new revision of the source; what went wrong with it, if anything did."""
        revision = self.publish(examples)
        documents = list(yaml.safe_load_all((examples / "flux/kustomizations.yaml").read_text()))
        for document in documents:
            document["spec"]["targetNamespace"] = self.ns
            self.kube.apply(yaml.safe_dump(document))

        def look():
            found = [self.kube.call("GET", "%s/%s" % (KUSTOMIZATIONS, document["metadata"]["name"])) for document in documents]
            if all(self.is_ready(each, revision) for each in found):
                return ("done", None)
            ended = [each for each in found if self.failed(each, revision)]
            return ended and ("failed", condition(ended[0], "Ready")["message"])

        return eventually(look, "revision %s is dealt with" % revision)[1]

    @staticmethod
    def is_ready(each, revision):
        return condition(each, "Ready").get("status") == "True" and each["status"].get("lastAppliedRevision") == revision

    @staticmethod
    def failed(each, revision):
        return reason(each) == "HealthCheckFailed" and each["status"].get("lastAttemptedRevision") == revision

    def publish(self, examples):
        """Packs the examples as the source's artifact; its revision."""
        archive = self.published / (examples.name + ".tar.gz")
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(examples, ".")
        packed = archive.read_bytes()
        revision = "main@sha1:" + hashlib.sha1(packed).hexdigest()
        live = self.kube.call("GET", SOURCES + "/deploy")
        now = "2026-01-01T00:00:00Z"
        live["status"] = {
            "observedGeneration": live["metadata"]["generation"],
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored artifact", "lastTransitionTime": now,
                "observedGeneration": live["metadata"]["generation"],
            }],
            "artifact": {
                "path": archive.name, "url": "http://127.0.0.1:%d/%s" % (self.server.server_port, archive.name), "revision": revision,
                "digest": "sha256:" + hashlib.sha256(packed).hexdigest(), "lastUpdateTime": now, "size": len(packed),
            },
        }
        self.kube.call("PUT", SOURCES + "/deploy/status", live)
        return revision


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
