"""Every manifest that people apply, against the schemas of the API server, by kubeconform: no field that it does not know."""

import json
import subprocess

import pytest
import yaml
from delivery.conftest import BIN, CHARTS, kustomized
from support.kube import ROOT


@pytest.fixture
def schemas(kube, cluster_helm_4, tmp_path):
    """What the API server publishes, as kubeconform wants it: a file for each kind."""
    definitions = kube.call("GET", "/openapi/v2")["definitions"]
    directory = tmp_path / "schemas"
    directory.mkdir()
    for definition in definitions.values():
        if definition.get("format") == "int-or-string":
            definition["type"] = ["integer", "string"]
        if definition.get("properties"):
            definition["additionalProperties"] = False
    # References begin at a file's root.
    text = json.dumps({"definitions": definitions}).replace('"#/definitions/', '"definitions.json#/definitions/')
    (directory / "definitions.json").write_text(text)
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            version = "-".join(filter(None, (kind["group"].split(".")[0], kind["version"])))
            schema = {"$ref": "definitions.json#/definitions/" + name}
            (directory / ("%s-%s.json" % (kind["kind"].lower(), version))).write_text(json.dumps(schema))
    return directory


def judged(schemas, text):
    location = "%s/{{.ResourceKind}}{{.KindSuffix}}.json" % schemas
    command = [str(BIN / "kubeconform"), "-strict", "-summary", "-output", "json", "-schema-location", location, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def test_manifests_have_no_field_that_the_api_server_does_not_know(kube, cluster_helm_4, schemas):
    helm = cluster_helm_4
    all_of_it = "--set", "policies.enabled=true,policies.limits.enabled=true,policies.operators={default}"
    more = "--set", "networkPolicy.enabled=true,metrics.service.enabled=true,dashboard.enabled=true,watch.allNamespaces=true,replicas=2"
    documents = [
        *yaml.safe_load_all((ROOT / "config/install.yaml").read_text()),
        *helm.template("django-operator-cluster", "default", *all_of_it),
        *helm.template("django-operator", "default"),
        *helm.template("django-operator", "default", *more),
        *yaml.safe_load_all(helm("template", "shop", ROOT / "examples/helm-hook").stdout),
        *yaml.safe_load_all(helm("template", "shop", ROOT / "examples/helm-wait").stdout),
        *kustomized("examples/gate", "policies/gate/v1beta1", "examples/argo-cd", "examples/argo-cd-presync", "examples/flux/migrations", "examples/flux/web"),
        *[document for path in sorted((ROOT / "examples").glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())],
    ]
    done = judged(schemas, yaml.safe_dump_all(documents))
    assert not done["resources"] and done["summary"]["valid"] == len(documents) > 50, done
    # It would have been seen.
    (deployment,) = [d for d in helm.template("django-operator", "default") if d["kind"] == "Deployment"]
    deployment["spec"]["template"]["spec"]["serviceAccountNames"] = "misspelt"
    done = judged(schemas, yaml.safe_dump(deployment))
    assert done["summary"]["invalid"] == 1 and "serviceAccountNames" in done["resources"][0]["msg"], done


def test_hooks_conform_as_well(cluster_helm_4, schemas):
    text = cluster_helm_4("template", "django-operator", CHARTS / "django-operator", "--kube-version", "1.35.0").stdout
    documents = [document for document in yaml.safe_load_all(text) if document]
    assert [d["kind"] for d in documents].count("Pod") == 2
    done = judged(schemas, text)
    assert not done["resources"] and done["summary"]["valid"] == len(documents), done
