"""The API server of Kubernetes 1.36, which serves the gate's policy in the form of that version and later ones."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from delivery.conftest import BIN
from support.gates import CASES, assert_same, await_gate
from support.kube import ROOT, Kube, eventually
from support.operator import is_free


def commands(directory, etcd, peers, port):
    """What it consists of: one that stores, and the API server with nothing switched on or off."""
    key, address = directory / "sa.key", "http://127.0.0.1:%d" % etcd
    store = ["--listen-client-urls", address, "--advertise-client-urls", address, "--listen-peer-urls", "http://127.0.0.1:%d" % peers]
    yield [Path(os.environ["KUBECONFIG"]).parent / "bin/etcd", "--data-dir", directory / "etcd", "--unsafe-no-fsync", *store]
    yield [
        BIN / "kube-apiserver", "--etcd-servers", address, "--cert-dir", directory / "certs", "--bind-address", "127.0.0.1",
        "--secure-port", port, "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", key,
        "--service-account-signing-key-file", key, "--token-auth-file", directory / "tokens.csv",
    ]


@pytest.fixture(scope="module")
def later_kube(tmp_path_factory):
    """A client of it."""
    directory = tmp_path_factory.mktemp("next")
    etcd, peers, port = [port for port in range(28000, 28100) if is_free(port)][:3]
    (directory / "tokens.csv").write_text("token,admin,admin,system:masters\n")
    subprocess.run(["openssl", "genrsa", "-out", str(directory / "sa.key"), "2048"], check=True, capture_output=True)
    cluster = {
        "server": "https://127.0.0.1:%d" % port, "certificate-authority": str(directory / "certs/apiserver.crt"),
        "tls-server-name": "kubernetes.default.svc",
    }
    (directory / "kubeconfig").write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
    }))
    kube, started = Kube(directory / "kubeconfig"), []
    try:
        for number, command in enumerate(commands(directory, etcd, peers, port)):
            with (directory / ("%d.log" % number)).open("w") as log:
                started.append(subprocess.Popen(list(map(str, command)), stdout=log, stderr=log))
        eventually(lambda: kube.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok", "it is ready; logs: %s" % directory)
        # There is no controller that makes it.
        eventually(lambda: kube.kubectl("create", "serviceaccount", "default", check=False).returncode == 0, "its namespace is there")
        yield kube
    finally:
        for process in started:
            process.kill()  # nothing of it is kept
            process.wait()


def test_the_gate_does_there_what_the_program_prints(later_kube, tmp_path):
    version = later_kube.call("GET", "/version")
    assert (version["major"], version["minor"]) == ("1", "36"), version
    later_kube.kubectl("apply", "--server-side", "-k", str(ROOT / "policies/gate"))
    await_gate(later_kube, "default", tmp_path)
    for path in CASES:
        template = yaml.safe_load(path.read_text())["spec"]["template"]
        assert assert_same(later_kube, "default", template, tmp_path) == (not path.stem.startswith("refused_")), path.stem
