"""What the gate's policy puts into pods, beside what the program prints."""

import copy
import subprocess

import yaml

from .kube import ROOT, deployment, eventually
from .operator import binary

WAIT = "django.my.domain/wait-for-migrations"
CASES = sorted((ROOT / "tests/golden/gate/cases").glob("*.yaml"))


def await_gate(kube, ns, tmp_path):
    """Until the policy is in force, and no older one."""
    template = deployment()["spec"]["template"]
    template["metadata"]["annotations"] = {WAIT: "true"}
    (expected,) = pasted(template, tmp_path)[0]["spec"]["initContainers"]

    def starts_as_printed():
        found = created(kube, ns, pod_of(template)).get("initContainers", [])
        return [container["command"] for container in found] == [expected["command"]]

    eventually(starts_as_printed, "the gate is in force")


def pod_of(template, annotations=()):
    """A pod as a controller makes it of a template."""
    metadata = {"generateName": "gated-", "annotations": {**template["metadata"]["annotations"], **dict(annotations)}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": copy.deepcopy(template["spec"])}


def created(kube, ns, pod):
    """Its spec as the API server would store it, but for what differs from one pod to the next."""
    spec = kube.call("POST", kube.path("Pod", ns) + "?dryRun=All", pod)["spec"]
    token = [v["name"] for v in spec.get("volumes", []) if v["name"].startswith("kube-api-access-")]
    for container in spec["containers"] + spec.get("initContainers", []):
        mounts = [m for m in container.get("volumeMounts", []) if m["name"] not in token]
        container["volumeMounts"] = sorted(mounts, key=lambda mount: mount["mountPath"])
    spec["volumes"] = sorted((v for v in spec.get("volumes", []) if v["name"] not in token), key=lambda volume: volume["name"])
    return spec


def pasted(template, tmp_path):
    """The template with the lines that the program prints; or why it prints none."""
    path = tmp_path / "deployment.yaml"
    path.write_text(yaml.safe_dump({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": template}}))
    done = subprocess.run([binary(), "gate", "-f", str(path)], capture_output=True, text=True)
    assert bool(done.returncode) == done.stderr.startswith("Deployment web: "), done
    if not done.stdout:
        return None, done.stderr
    lines = yaml.safe_load(done.stdout)
    template = copy.deepcopy(template)
    template["metadata"]["annotations"] |= lines["metadata"]["annotations"]
    for field in ("initContainers", "volumes"):
        template["spec"][field] = template["spec"].get(field, []) + lines["spec"][field]
    return template, ""


def assert_same(kube, ns, template, tmp_path):
    """The policy does to a pod what the program prints, or neither does anything."""
    plain = pod_of(template)
    template_with_lines, refusal = pasted(template, tmp_path)
    by_policy = created(kube, ns, plain)
    if template_with_lines is None:
        del plain["metadata"]["annotations"][WAIT]
        assert by_policy == created(kube, ns, plain), refusal
    else:
        assert by_policy == created(kube, ns, pod_of(template_with_lines)), template["metadata"]["annotations"]
        assert by_policy["initContainers"][-1]["name"] == "django-operator-gate"
    return template_with_lines is not None
