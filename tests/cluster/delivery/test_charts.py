"""What the charts render is what the other manifests say."""

import json
import shutil
import subprocess

import pytest
import yaml
from delivery.conftest import BIN, CHARTS, by_name, kustomized
from support.kube import ROOT

NS = "django-operator"
LABELS = {
    "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "app.kubernetes.io/part-of", "helm.sh/chart",
}


def without_helm(documents, further=()):
    """Without what the chart adds to each object."""
    for document in documents:
        metadata = document["metadata"]
        labels = {k: v for k, v in metadata.pop("labels").items() if k not in LABELS | set(further)}
        if labels:
            metadata["labels"] = labels
        annotations = {k: v for k, v in metadata.pop("annotations", {}).items() if k != "helm.sh/resource-policy"}
        if annotations:
            metadata["annotations"] = annotations
    return by_name(documents)


def environment(documents):
    """The variables of the operator, by name."""
    (deployment,) = [d for d in documents if d["kind"] == "Deployment"]
    return {e["name"]: e for e in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}


def own_namespace(documents):
    """What the chart writes where the other manifest has the field of the pod."""
    watched = environment(documents)["WATCH_NAMESPACE"]
    assert watched.pop("valueFrom") == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    watched["value"] = NS
    return documents


def test_an_operator_in_a_namespace_is_what_the_kustomization_is(helm):
    rendered = helm.template("django-operator", NS, "--set", "image.tag=latest,tests.enabled=false")
    assert without_helm(rendered) == by_name(own_namespace(kustomized("config/default")))


def renamed(documents):
    """What belongs to all namespaces is named by the release's namespace."""
    text = json.dumps([d for d in documents if d["kind"] in ("ClusterRole", "ClusterRoleBinding")])
    return by_name(json.loads(text.replace("django-operator-shop", "django-operator").replace('"shop"', '"%s"' % NS)))


def test_an_operator_for_all_namespaces_has_the_same_rights_in_all(helm):
    rendered = helm.template("django-operator", "shop", "--set", "watch.allNamespaces=true,tests.enabled=false")
    expected = kustomized("config/all-namespaces")
    assert renamed(without_helm(rendered).values()) == renamed(expected)
    assert watch_namespace(rendered) == watch_namespace(expected) == ""
    assert not [d for d in rendered if d["kind"] == "Role" and "lease" not in d["metadata"]["name"]]


def watch_namespace(documents):
    return environment(documents)["WATCH_NAMESPACE"]["value"]


def test_an_operator_for_several_namespaces_has_its_role_in_each(helm):
    rendered = helm.template("django-operator", "shop", "--set", "watch.namespaces={shop,blog,blog},tests.enabled=false")
    assert watch_namespace(rendered) == "shop,blog,blog"
    (watched, _) = kustomized("config/watched-namespace")
    roles = {(d["metadata"]["namespace"], d["metadata"]["name"]): d for d in rendered if d["kind"] == "Role"}
    assert sorted(roles) == [("blog", "django-operator-watched-by-shop"), ("shop", "django-operator"), ("shop", "django-operator-lease")]
    assert roles["blog", "django-operator-watched-by-shop"]["rules"] == roles["shop", "django-operator"]["rules"] == watched["rules"]
    bindings = [d for d in rendered if d["kind"] == "RoleBinding"]
    assert len(bindings) == 3
    for binding in bindings:
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": NS, "namespace": "shop"}]
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]


@pytest.mark.parametrize(("version", "directory"), [("v1", "policies/gate"), ("v1beta1", "policies/gate/v1beta1")])
def test_what_a_cluster_has_once_is_what_the_kustomizations_are(helm, version, directory):
    values = "policies.enabled=true,policies.limits.enabled=true,policies.operators={%s},gate.enabled=true" % NS
    on = "--set", values, "--api-versions", "admissionregistration.k8s.io/%s/MutatingAdmissionPolicy" % version
    rendered = without_helm(helm.template("django-operator-cluster", NS, *on), ["app.kubernetes.io/name"])
    rendered["ConfigMap", "django-operator-limits", "limits"].pop("data")
    assert rendered == by_name(kustomized("config/crd", "config/user-roles", "policies", "policies/limits", directory))


def test_switches_leave_out_what_they_say(helm):
    def kinds(*values):
        rendered = helm.template("django-operator-cluster", NS, *[word for value in values for word in ("--set", value)])
        return {d["kind"] for d in rendered}

    assert kinds() == {"CustomResourceDefinition", "ClusterRole"}
    assert kinds("crds.enabled=false") == {"ClusterRole"}
    assert kinds("userRoles.enabled=false") == {"CustomResourceDefinition"}
    crd = helm.template("django-operator-cluster", NS, "--set", "crds.keep=false")[0]
    assert "helm.sh/resource-policy" not in crd["metadata"].get("annotations", {})


def test_policies_name_the_operators_and_labels_of_the_values(helm, tmp_path):
    values = tmp_path / "values.yaml"
    values.write_text(json.dumps({"policies": {
        "enabled": True, "operators": ["shop", "blog"], "podLabels": ["tier:web"],
        "limits": {"enabled": True, "parameters": {"commands.shop": "check"}},
    }}))
    rendered = helm.template("django-operator-cluster", NS, "-f", values)
    made = subprocess.run(
        ["make", "-s", "print-policies", "OPERATORS=shop blog", "POD_LABELS=tier:web"], cwd=ROOT, capture_output=True, text=True, check=True,
    )
    expected = by_name(yaml.safe_load_all(made.stdout))
    ours = without_helm(rendered, ["app.kubernetes.io/name"])
    assert {key: ours[key] for key in expected} == expected
    assert ours["ConfigMap", "django-operator-limits", "limits"]["data"] == {"commands.shop": "check"}


def test_one_file_has_kinds_and_operator():
    expected = by_name(kustomized("config/crd", "config/default"))
    documents = list(yaml.safe_load_all((ROOT / "config/install.yaml").read_text()))
    namespace = documents.pop([d["kind"] for d in documents].index("Namespace"))
    assert namespace["metadata"] == {"name": NS}
    assert by_name(documents) == expected


@pytest.mark.parametrize("chart", ["django-operator", "django-operator-cluster"])
def test_the_charts_are_without_a_warning(helm, chart):
    helm("lint", "--strict", CHARTS / chart)


REFUSED = [
    ("django-operator", "settings.numOldCRs=3", "numOldCRs"),
    ("django-operator", "operatorSettings.numOldCrs=3", "operatorSettings"),
    ("django-operator", "settings.watchSeconds=300", "watchSeconds"),
    ("django-operator", "settings.logFormat=xml", "logFormat"),
    ("django-operator", "settings.maxConcurrentJobs=many", "maxConcurrentJobs"),
    ("django-operator", "image.digest=sha256:1", "digest"),
    ("django-operator", "watch.namespaces={Shop}", "namespaces"),
    ("django-operator", "replicas=-1", "replicas"),
    ("django-operator", "settings.maxConcurrentJobs=99999999999", "maxConcurrentJobs"),
    ("django-operator", "settings.djangoPodLabel=web", "djangoPodLabel"),
    ("django-operator", "settings.watchSeconds=null", "watchSeconds"),
    ("django-operator", "podLabels.app\\.kubernetes\\.io/name=web", "podLabels"),
    ("django-operator", "networkPolicy.apiServerPorts={0}", "apiServerPorts"),
    ("django-operator", "alerts.enabled=true", "metrics.serviceMonitor.enabled"),
    ("django-operator", "alerts.runbookUrl=", "runbookUrl"),
    ("django-operator", "watch.allNamespaces=true,watch.namespaces={shop}", "exclude each other"),
    ("django-operator-cluster", "policies.enabled=true", "policies.operators is empty"),
    ("django-operator-cluster", "policies.limits.enabled=true", "set policies.enabled as well"),
    ("django-operator-cluster", "gate.enabled=true", "paste what `django-operator gate` prints"),
    ("django-operator-cluster", "policies.operators={Shop}", "operators"),
    ("django-operator-cluster", "policies.podLabels={web}", "podLabels"),
    ("django-operator-cluster", "crd.keep=false", "crd"),
]


@pytest.mark.parametrize("chart, value, named", REFUSED)
def test_values_that_mean_nothing_are_refused_by_name(helm, chart, value, named):
    done = helm("template", CHARTS / chart, "--kube-version", "1.35.0", "--set", value, check=False)
    assert done.returncode and named in done.stderr, done.stderr


def test_as_a_part_of_another_chart_it_takes_what_is_global(helm):
    helm.template("django-operator", NS, "--set", "global.registry=example.com")


def test_large_numbers_stay_numbers(helm):
    rendered = helm.template("django-operator", NS, "--set", "settings.numOldCrs=1000000")
    assert environment(rendered)["NUM_OLD_CRS"]["value"] == "1000000"


def test_names_that_look_like_numbers_stay_names(helm):
    rendered = helm.template("django-operator", "123", "--set-json", 'watch.namespaces=["456","null"]')
    assert {d["metadata"]["namespace"] for d in rendered} == {"123", "456", "null"}


def test_the_network_policy_allows_what_the_plain_one_allows(helm):
    (ours,) = [d for d in helm.template("django-operator", NS, "--set", "networkPolicy.enabled=true") if d["kind"] == "NetworkPolicy"]
    plain = yaml.safe_load((ROOT / "policies/network-policy.yaml").read_text())
    for part in ("policyTypes", "ingress", "egress"):
        assert ours["spec"][part] == plain["spec"][part]
    assert ours["spec"]["podSelector"]["matchLabels"].items() <= plain["spec"]["podSelector"]["matchLabels"].items()


@pytest.mark.parametrize("values, watched", [
    ("watch.namespaces={shop,blog}", "shop,blog"), ("watch.allNamespaces=true", ""), ("replicas=1", NS),
])
def test_a_package_has_what_its_own_test_runs(helm, tmp_path, values, watched):
    helm("package", CHARTS / "django-operator", "-d", tmp_path)
    text = helm("template", *tmp_path.glob("*.tgz"), "-n", NS, "--kube-version", "1.35.0", "--set", values).stdout
    pods = {d["metadata"]["name"]: d for d in yaml.safe_load_all(text) if d["kind"] == "Pod"}
    assert sorted(pods) == ["django-operator-test-kinds", "django-operator-test-rights"]
    first = watched.partition(",")[0] or NS
    assert "Pod" not in [d["kind"] for d in helm.template("django-operator", NS, "--set", "tests.enabled=false")]
    for name, pod in pods.items():
        subject = name.rpartition("-")[2]
        args = ["check", subject, "--watch-namespace=" + watched, "--namespace=" + first]
        assert pod["spec"]["containers"][0]["args"] == args


@pytest.mark.parametrize("chart", ["django-operator", "django-operator-cluster"])
def test_the_suites_of_the_charts(chart):
    done = subprocess.run([str(BIN / "helm-unittest"), "--strict", str(CHARTS / chart)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def images(directory):
    """Images, and what the migrations' run is asked for by."""
    found = {}
    for document in kustomized(directory):
        template = document.get("template") or document["spec"].get("template")
        found[document["kind"]] = template["spec"]["containers"][0]["image"] if template else document["spec"].get("trigger")
    found.pop("Service", None)
    return found


def test_an_image_that_is_set_further_out_has_a_run_of_its_own(tmp_path):
    """As Argo CD and Flux set it, in the directory that they are given."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for directory, kinds in (
        ("argo-cd", ["Deployment", "DjangoMigrate", "PodTemplate"]), ("argo-cd-presync", ["Deployment", "DjangoMigrate", "PodTemplate"]),
        ("flux/migrations", ["DjangoMigrate", "PodTemplate"]), ("flux/web", ["Deployment"]),
    ):
        example = tmp_path / "examples" / directory
        assert images(example) == dict.fromkeys(kinds, "localhost/myapp:1")
        with (example / "kustomization.yaml").open("a") as file:
            file.write("images: [{name: localhost/myapp, newTag: another}]\n")
        assert images(example) == dict.fromkeys(kinds, "localhost/myapp:another")
    order = [d["kind"] for d in kustomized("examples/flux/migrations")]
    assert order == ["PodTemplate", "DjangoMigrate"], "the task reads what is applied before it"


def test_argo_cds_application_names_the_directory():
    application = yaml.safe_load((ROOT / "examples/argo-cd/application.yaml").read_text())
    assert (ROOT / "examples" / application["spec"]["source"]["path"] / "kustomization.yaml").exists()


@pytest.mark.parametrize("example", ["helm-hook", "helm-wait"])
def test_tags_stay_texts(helm, tmp_path, example):
    values = tmp_path / "values.yaml"
    values.write_text("image: {tag: 1234567}\n")
    refused = helm("template", "shop", ROOT / "examples" / example, "-f", values, check=False)
    assert refused.returncode and "tag" in refused.stderr
    text = helm("template", "shop", ROOT / "examples" / example, "--set-string", "image.tag=1234567").stdout
    assert "localhost/myapp:1234567" in text and "e+06" not in text
