"""The real project on the real node, and the operator inside of the cluster, from its own image."""

import pytest
import yaml
from support.kube import KINDS, ROOT, TIMEOUT, eventually

NS = "django-operator"


@pytest.fixture(scope="session")
def site(kube):
    """The namespace of the seed's page, with the project and the operator installed as that page says."""
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": NS, "labels": {
        "pod-security.kubernetes.io/enforce": "restricted",
    }}})
    kube.kubectl("apply", "-k", str(ROOT / "config/rbac"), "-n", NS)
    manifests = kube.kubectl("kustomize", str(ROOT / "config/default")).stdout
    kube.apply(manifests.replace("localhost/django-operator:latest", "localhost/django-operator:test"), NS)
    kube.kubectl("apply", "-n", NS, "-k", str(ROOT / "tests/project/deploy"))
    kube.kubectl("wait", "-n", NS, "--for=condition=Available", "deployment", "--all", "--timeout=400s")
    return Site(kube)


class Site:
    """What tests do beside the operator, with the rights of an administrator."""

    def __init__(self, kube):
        self.kube, self.ns = kube, NS

    def python(self, code, deployment="web", **env):
        """Runs Python in a pod of the project; what it printed."""
        command = ["env", *("%s=%s" % item for item in env.items()), "python", "manage.py", "shell", "-c", code]
        return self.kube.kubectl("exec", "-n", NS, "deploy/" + deployment, "--", *command).stdout.strip()

    def sql(self, query, database="myapp"):
        out = self.kube.kubectl(
            "exec", "-n", NS, "deploy/postgres", "--", "psql", "-h", "/tmp", "-U", "postgres", "-tA", "-d", database, "-c", query
        )
        return out.stdout.strip()

    def variant(self, name, base="web", annotations=None, change=None, replicas=0, **env):
        """Another labelled Deployment, made of the first one."""
        made = yaml.safe_load(self.kube.kubectl("get", "-n", NS, "deployment", base, "-o", "yaml").stdout)
        labels = {**made["spec"]["template"]["metadata"]["labels"], "app": name}
        template = made["spec"]["template"]
        template["metadata"] = {"labels": labels}
        container = template["spec"]["containers"][0]
        container["env"] = [e for e in container["env"] if e["name"] not in env]
        container["env"] += [{"name": k, "value": v} for k, v in env.items() if v is not None]
        if change:
            change(template["spec"])
        self.kube.create(NS, {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "annotations": annotations or {}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
        })
        return {"deployment": name}

    def clear(self, is_own):
        """Deletes the tasks and the Deployments of these names, and waits until their Jobs are gone."""
        for kind in (*KINDS, "Deployment"):
            for made in self.kube.list(kind, NS):
                if is_own(made["metadata"]["name"]):
                    self.kube.delete(kind, NS, made["metadata"]["name"])

        def task_of(job):
            return job["metadata"].get("annotations", {}).get("django.my.domain/task", "")

        eventually(lambda: not any(is_own(task_of(job)) for job in self.kube.list("Job", NS)), "their Jobs are gone")

    def pod_of(self, kind, name):
        task = self.kube.get(kind, NS, name)
        job = (task["status"].get("lastRun") or {}).get("jobName")
        pods = self.kube.list("Pod", NS, "batch.kubernetes.io/job-name=" + job) if job else []
        return pods[0] if pods else None

    def becomes(self, kind, name, wanted, timeout=2 * TIMEOUT):
        from support.kube import reason

        def look():
            task = self.kube.get(kind, NS, name)
            fresh = task["status"].get("observedGeneration") == task["metadata"]["generation"]
            return fresh and reason(task) == wanted and task

        return eventually(look, "%s %s: %s" % (kind, name, wanted), timeout)
