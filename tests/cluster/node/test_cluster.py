"""The local cluster itself: what its tests lean on."""

import json
import os
import subprocess
from pathlib import Path

from support.kube import ROOT, eventually

SCRIPT = str(ROOT / "tests/cluster/cluster")


def cluster(*argv, **env):
    done = subprocess.run([SCRIPT, *argv], env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bridge():
    """The address by which pods know their way out."""
    return cluster("exec", "ip", "-o", "link", "show", "pods").split("link/ether ")[1].split()[0]


def pod(name):
    container = {"name": "web", "image": "localhost/myapp:1", "command": ["python", "-c", "import time; time.sleep(1000)"]}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }


def test_the_bridge_keeps_its_address_while_pods_come_and_go(kube, empty_ns):
    first = bridge()
    names = ["a", "b", "c", "d"]
    for name in names:
        kube.create(empty_ns, pod(name))
    for name in names:
        kube.kubectl("wait", "-n", empty_ns, "--for=condition=Ready", "pod/" + name, "--timeout=180s")
        assert bridge() == first
        kube.kubectl("delete", "-n", empty_ns, "pod", name)
        assert bridge() == first


def running(kubectl):
    """Each container that runs, and how often it was started again."""
    pods = json.loads(kubectl("get", "pods", "-A", "-o", "json"))["items"]
    return {
        (pod["metadata"]["name"], status["name"]): (status["containerID"], status["restartCount"])
        for pod in pods
        for status in pod["status"].get("containerStatuses", [])
        if "running" in status["state"]
    }


def test_another_cluster_on_this_machine_leaves_this_one_alone(kube, site, tmp_path):
    """Each has its own network, mounts and processes, and takes away only those."""
    state = Path(kube.kubeconfig).parent
    other = {"CLUSTER_DIR": str(tmp_path / "other")}
    (tmp_path / "other").mkdir()
    (tmp_path / "other/bin").symlink_to(state / "bin")
    mounts, before = mounts_below(state), running(lambda *argv: kube.kubectl(*argv).stdout)
    resolve = "import socket; print(socket.gethostbyname('postgres'))"
    address = site.python(resolve)
    try:
        kubeconfig = cluster("up", **other).strip()

        def kubectl(*argv, **options):
            command = ["kubectl", "--kubeconfig", kubeconfig, *argv]
            done = subprocess.run(command, capture_output=True, text=True, **options)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        # What a pod goes through takes its kubelet through its housekeeping several times.
        made = pod("there")
        made["spec"]["containers"][0].update(image="localhost/pause:1", command=None)
        kubectl("apply", "-f", "-", input=json.dumps(made))
        for condition in ("--for=condition=Ready", "--for=delete"):
            if condition == "--for=delete":
                kubectl("delete", "pod", "there", "--wait=false")
            kubectl("wait", "pod/there", condition, "--timeout=180s")
        assert site.python(resolve) == address
        assert running(lambda *argv: kube.kubectl(*argv).stdout) == before
    finally:
        cluster("down", **other)
    assert site.python(resolve) == address
    assert mounts <= mounts_below(state)
    assert running(lambda *argv: kube.kubectl(*argv).stdout) == before
    eventually(lambda: not mounts_below(tmp_path), "the other cluster's mounts are gone")


def mounts_below(path):
    """Those of volumes and of the runtime, as the kernel knows them."""
    return {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " %s/" % path in line}
