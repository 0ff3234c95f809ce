"""The charts on a real cluster: installed, tested, upgraded, rolled back, uninstalled, installed again."""

import shutil
import subprocess

import pytest
import yaml
from delivery.conftest import CHARTS, IMAGE, await_kinds, delete_kinds
from support.kube import KINDS, ROOT, account, becomes, eventually, reason, task
from support.operator import may

NS = "django-operator"
CLUSTER = ("django-operator-cluster", CHARTS / "django-operator-cluster", "-n", NS)
FIELD = "addedByAnUpgrade"
MANAGER = "app.kubernetes.io/name=django-operator,app.kubernetes.io/component=manager"
# A command that ends when there is a table of that name.
UNTIL_TOLD = (
    "import time; from django.db import connection; "
    "any(iter(lambda: time.sleep(0.5) or 'go' in connection.introspection.table_names(), None))"
)


@pytest.fixture
def installed(kube, shop, cluster_helm):
    """Releases that go after the test, and with them the kinds."""
    kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": "blog"}}, ok=(201, 409))
    yield cluster_helm
    for name, ns in (("django-operator", "shop"), ("django-operator", "blog"), ("django-operator-cluster", NS)):
        cluster_helm("uninstall", name, "-n", ns, "--ignore-not-found", "--wait")
    delete_kinds(kube)
    assert not jobs(kube)


def jobs(kube):
    return {job["metadata"]["uid"] for job in kube.list("Job", "shop", "app.kubernetes.io/managed-by=django-operator")}


def operator_pod(kube, ns):
    (pod,) = kube.list("Pod", ns, MANAGER)
    return pod["metadata"]["uid"]


def paste(helm, notes):
    """Does in a shell what the notes end with."""
    command = notes[notes.index("kubectl apply -f - <<'EOF'"):]
    done = subprocess.run(["bash", "-euc", command], env=helm.env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def add_a_field(chart):
    """What a later version may have: a further field of a kind."""
    path = chart / "templates/crds/djangomigrates.yaml"
    text = path.read_text()
    field = "              %s: {type: string, description: Of a later version.}\n" % FIELD
    at = text.index("            properties:\n", text.index("          spec:\n")) + len("            properties:\n")
    path.write_text(text[:at] + field + text[at:])
    version = chart / "Chart.yaml"
    version.write_text(version.read_text().replace('"0.1.0"', '"0.2.0"'))


def knows_the_field(kube):
    crd = yaml.safe_load(kube.kubectl("get", "crd", "djangomigrates.django.my.domain", "-o", "yaml").stdout)
    return FIELD in crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def test_a_life_of_two_releases(kube, shop, installed, tmp_path):
    helm = installed
    helm("install", *CLUSTER, "--create-namespace")
    await_kinds(kube)
    operator = ("django-operator", CHARTS / "django-operator", *IMAGE, "--wait", "--timeout=3m")
    notes = helm("install", *operator, "-n", "shop").stdout
    helm("install", *operator, "-n", "blog")
    # What the notes end with works.
    paste(helm, notes)
    becomes(kube, "shop", "migrate", "Succeeded")
    told = helm("test", "django-operator", "-n", "shop", "--logs").stdout
    assert "failed:" not in told and all("ok: %s: a task would be taken" % kind in told for kind in KINDS), told
    assert "ok: rights in namespace shop" in told and "ok: rights over the lease in namespace shop" in told, told

    # An upgrade leaves a task that runs alone, and changes the kinds.
    kube.create("shop", task("DjangoCommand", "long", commands=[["shell", "-c", UNTIL_TOLD]]))
    becomes(kube, "shop", "long", "Running", "DjangoCommand")
    before, others_pod, pod = jobs(kube), operator_pod(kube, "blog"), operator_pod(kube, "shop")
    newer = shutil.copytree(CHARTS / "django-operator-cluster", tmp_path / "newer")
    add_a_field(newer)
    assert not knows_the_field(kube)
    helm("upgrade", "django-operator-cluster", newer, "-n", NS)
    assert knows_the_field(kube)
    helm("upgrade", *operator, "-n", "shop", "--set", "settings.logLevel=debug")
    assert reason(kube.get("DjangoCommand", "shop", "long")) == "Running"
    sql = ("exec", "-n", "shop", "deploy/postgres", "--", "psql", "-h", "/tmp", "-U", "postgres", "-d", "myapp", "-c")
    kube.kubectl(*sql, "CREATE TABLE go ()")
    becomes(kube, "shop", "long", "Succeeded", "DjangoCommand")
    kube.kubectl(*sql, "DROP TABLE go")
    assert kube.get("DjangoCommand", "shop", "long")["status"]["lastRun"]["number"] == 1
    assert jobs(kube) == before
    assert operator_pod(kube, "shop") != pod and operator_pod(kube, "blog") == others_pod

    # So does the way back.
    helm("rollback", "django-operator-cluster", "-n", NS)
    helm("rollback", "django-operator", "-n", "shop", "--wait")
    assert not knows_the_field(kube) and jobs(kube) == before and operator_pod(kube, "blog") == others_pod

    # What goes takes no task with it; what comes again finds them, and runs none.
    helm("uninstall", "django-operator", "-n", "shop", "--wait")
    helm("uninstall", "django-operator-cluster", "-n", NS, "--wait")
    eventually(lambda: not kube.list("Pod", "shop", MANAGER), "its pod is gone")
    assert reason(kube.get("DjangoMigrate", "shop", "migrate")) == "Succeeded" and jobs(kube) == before
    assert operator_pod(kube, "blog") == others_pod
    helm("install", *CLUSTER)
    helm("install", *operator, "-n", "shop")
    kube.patch("DjangoMigrate", "shop", "migrate", {"spec": {"trigger": "2"}})
    eventually(lambda: kube.get("DjangoMigrate", "shop", "migrate")["status"]["lastRun"]["number"] == 2)
    becomes(kube, "shop", "migrate", "Succeeded")
    assert len(jobs(kube) - before) == 1, "only the run that was asked for"
    assert kube.get("DjangoCommand", "shop", "long")["status"]["lastRun"]["number"] == 1


def test_what_is_missing_is_told_by_its_test(kube, shop, installed):
    helm = installed
    helm("install", *CLUSTER, "--create-namespace", "--set", "policies.enabled=true", "--set", "policies.operators={shop}")
    helm("install", "django-operator", CHARTS / "django-operator", *IMAGE, "-n", "shop", "--wait")
    told = helm("test", "django-operator", "-n", "shop", "--logs").stdout
    wanted = "ok: DjangoCommand: a task would be taken in namespace shop of who has the rights that django-operator-task-rights asks for"
    assert wanted in told and "ok: the helper would be taken in namespace shop" in told, told
    # The policies know other operators alone.
    upgrade = "upgrade", *CLUSTER, "--set", "policies.enabled=true,policies.operators={blog}"
    helm(*upgrade)
    eventually(lambda: helm("test", "django-operator", "-n", "shop", check=False).returncode, "the policies are as they are now")
    log = kube.kubectl("logs", "-n", "shop", "django-operator-test-rights").stdout
    assert "failed: the helper: " in log and "names that begin with django-operator-tasks- are the helper's" in log, log
    helm("upgrade", *CLUSTER, "--set", "policies.enabled=true,policies.operators={shop}")
    eventually(lambda: not helm("test", "django-operator", "-n", "shop", check=False).returncode, "the policies are as they are now")
    role = kube.get("Role", "shop", "django-operator")
    rules = [rule for rule in role["rules"] if rule["resources"] != ["pods"]]
    kube.patch("Role", "shop", "django-operator", {"rules": rules})
    failed = helm("test", "django-operator", "-n", "shop", "--logs", check=False)
    assert failed.returncode
    log = kube.kubectl("logs", "-n", "shop", "django-operator-test-rights").stdout
    assert "failed: rights in namespace shop: this account may not list pods, watch pods; apply the roles of this version" in log
    kube.kubectl("delete", "crd", "djangostatics.django.my.domain")
    kube.patch("Role", "shop", "django-operator", {"rules": role["rules"]})
    failed = helm("test", "django-operator", "-n", "shop", check=False)
    assert failed.returncode
    log = kube.kubectl("logs", "-n", "shop", "django-operator-test-kinds").stdout
    assert "failed: DjangoStatic: the API server does not know it; apply the CustomResourceDefinitions of this version" in log


def test_one_release_for_more_than_its_namespace(kube, shop, installed):
    """Several namespaces, all, and back to its own: the rights go where the operator does."""
    helm = installed
    helm("install", *CLUSTER, "--create-namespace")
    operator = ("django-operator", CHARTS / "django-operator", *IMAGE, "-n", "shop", "--wait")

    def in_blog(name):
        kube.create("blog", task("DjangoMigrate", name))
        becomes(kube, "blog", name, "TargetNotFound")

    helm("install", *operator, "--set", "watch.namespaces={shop,blog}")
    in_blog("several")
    told = helm("test", "django-operator", "-n", "shop", "--logs").stdout
    assert "ok: rights in namespace shop" in told and "ok: rights in namespace blog" in told, told
    helm("upgrade", *operator, "--set", "watch.allNamespaces=true")
    assert not kube.list("Role", "blog") and not kube.list("RoleBinding", "blog")
    in_blog("all")
    assert "ok: rights in all namespaces" in helm("test", "django-operator", "-n", "shop", "--logs").stdout
    helm("upgrade", *operator)
    assert not may(kube, account("shop"), "blog", "list", "django.my.domain", "djangomigrates")
    assert "ok: rights in namespace shop" in helm("test", "django-operator", "-n", "shop", "--logs").stdout
    refused = helm("upgrade", *operator, "--set", "watch.namespaces={shop,nowhere}", check=False)
    assert refused.returncode and 'namespaces "nowhere" not found' in refused.stderr, refused.stderr


def test_kinds_that_kubectl_applied_are_taken_over(kube, installed):
    kube.kubectl("apply", "--server-side", "-k", str(ROOT / "config/crd"))
    refused = installed("install", *CLUSTER, "--create-namespace", check=False)
    assert refused.returncode and "django.my.domain" in refused.stderr
    installed("install", *CLUSTER, "--create-namespace", "--take-ownership")
