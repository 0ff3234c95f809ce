"""The package installed in the project's image, on a real node: its commands in an init container, its probes
asked by the kubelet, and its results beside those of the zip that the operator brings along."""

import copy
import json
import re
import textwrap

import pytest
import yaml
from support.kube import ROOT, eventually, task

PACKAGED = "localhost/myapp-packaged:1"
SETTINGS = {"DJANGO_SETTINGS_MODULE": "myapp.settings_packaged"}
SEND = "from myapp.tasks import add\nfor _ in range(3): add.apply_async((1, 2), queue='worker1')"
SPECS = {
    "DjangoMigrate": {},
    "DjangoUser": {"username": "ann", "email": "ann@example.com", "superuser": True, "passwordSecretRef": {"name": "packaged", "key": "password"}},
    "DjangoStatic": {"clear": True},
    "DjangoCelery": {"app": "myapp", "worker": "worker1"},
    "DjangoCommand": {"commands": [["check"], ["clearsessions"]]},
}


@pytest.fixture(scope="module")
def packaged(kube, site):
    """Databases and a Secret for these tests; what they made goes away again, as others count Deployments."""
    for name in ("packaged", "zip", "wheel"):
        site.sql("CREATE DATABASE " + name)
    kube.create(site.ns, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "packaged"}, "stringData": {"password": "some-Passw0rd"}})
    made = []
    yield made
    for kind in SPECS:
        kube.kubectl("delete", "-n", site.ns, kind, "--all")
    for kind, name in made:
        kube.kubectl("delete", "-n", site.ns, kind, name, "--cascade=foreground")
    eventually(lambda: not kube.list("Job", site.ns))


def variant(site, made, name, base="web", image=PACKAGED, change=lambda pod: None, **more):
    def use(pod):
        pod["containers"][0]["image"] = image
        change(pod)

    target = site.variant(name, base, change=use, **more)
    made.append(("deployment", name))
    return target


@pytest.fixture(scope="module")
def snippets():
    """What the package's README tells people to write: a Deployment, a worker, a Job."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "python/README.md").read_text(), re.DOTALL)
    return [yaml.safe_load(textwrap.dedent(block)) for block in blocks]


def probes(container):
    return {name: value for name, value in container.items() if name.endswith("Probe")}


def test_a_pod_waits_for_the_migration_and_its_probes_say_so(kube, site, packaged, snippets):
    advice = snippets[0]["spec"]["template"]["spec"]
    assert list(probes(advice["containers"][0])) == ["startupProbe", "readinessProbe", "livenessProbe"]

    def with_probes(pod):
        first = {k: v for k, v in pod["containers"][0].items() if k != "ports" and not k.endswith("Probe")}
        pod["initContainers"] = [{**first, "name": "wait", "command": advice["initContainers"][0]["command"]}]
        pod["containers"][0].update(probes(advice["containers"][0]))

    target = variant(site, packaged, "packaged", change=with_probes, replicas=1, DATABASE_NAME="packaged", **SETTINGS)

    def waiting():
        pods = kube.list("Pod", site.ns, "app=packaged")
        return pods and "not migrated" in kube.kubectl("logs", "-n", site.ns, pods[0]["metadata"]["name"], "-c", "wait", check=False).stdout

    eventually(waiting, "the init container waits for migrations")
    kube.create(site.ns, task("DjangoMigrate", "packaged", target=target))
    site.becomes("DjangoMigrate", "packaged", "Succeeded")
    kube.kubectl("wait", "-n", site.ns, "--for=condition=Available", "deployment/packaged", "--timeout=300s")
    (pod,) = kube.list("Pod", site.ns, "app=packaged")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    said = json.loads(pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["message"])
    assert said["action"] == "ready"
    assert said["databases"][0]["name"] == "packaged"
    page = "/api/v1/namespaces/%s/pods/%s:8000/proxy/readyz?format=json" % (site.ns, pod["metadata"]["name"])
    assert [each["ready"] for each in json.loads(kube.kubectl("get", "--raw", page).stdout)["probes"]] == [True, True]


def test_a_worker_is_alive_by_its_heartbeat(kube, site, packaged, snippets):
    advice = probes(snippets[1][0])
    variant(site, packaged, "beating", "worker", change=lambda pod: pod["containers"][0].update(advice), replicas=1, **SETTINGS)
    kube.kubectl("wait", "-n", site.ns, "--for=condition=Available", "deployment/beating", "--timeout=300s")
    command = [*advice["livenessProbe"]["exec"]["command"], "--json"]
    found = json.loads(kube.kubectl("exec", "-n", site.ns, "deploy/beating", "--", *command).stdout)
    assert found["alive"]


def test_the_job_of_the_readme_makes_a_user(kube, site, packaged, snippets):
    """A Job without the operator, from the wheel."""
    job = snippets[2]
    (advice,) = job["spec"]["template"]["spec"]["containers"]
    web = yaml.safe_load(kube.kubectl("get", "-n", site.ns, "deployment", "packaged", "-o", "yaml").stdout)["spec"]["template"]["spec"]
    container = {k: v for k, v in web["containers"][0].items() if k != "ports" and not k.endswith("Probe")}
    container.update(command=advice["command"], env=container["env"] + advice["env"])
    for variable in container["env"]:
        if variable["name"] == "DJANGO_ADMIN_PASSWORD":
            variable["valueFrom"]["secretKeyRef"]["name"] = "packaged"
    pod = {**web, "initContainers": [], "containers": [container], "restartPolicy": "Never"}
    job["spec"]["template"]["spec"] = pod
    kube.create(site.ns, job)
    packaged.append(("job", job["metadata"]["name"]))
    assert result_of(kube, site, job["metadata"]["name"])["action"] == "created"
    assert site.sql("SELECT username, is_superuser FROM auth_user", "packaged") == "admin|t"


def result_of(kube, site, job):
    """What the one pod of a Job left in its termination log."""

    def ended():
        pods = kube.list("Pod", site.ns, "batch.kubernetes.io/job-name=" + job)
        states = [s["state"].get("terminated") for p in pods for s in p["status"].get("containerStatuses", [])]
        return states and states[0]

    line = json.loads(eventually(ended, "the pod of Job %s ended" % job)["message"])
    for step in line.get("steps", []):
        step.pop("seconds")
    return line


@pytest.mark.parametrize("kind", SPECS)
def test_the_wheel_says_what_the_zip_says(kube, site, packaged, kind):
    """The operator's own Job, and the same Job with the wheel of its image in place of the zip."""
    name = "zip-" + kind.lower()
    base = "worker" if kind == "DjangoCelery" else "web"
    target = variant(site, packaged, name, base, image="localhost/myapp:1", DATABASE_NAME="zip")
    if kind == "DjangoCelery":
        site.python(SEND, "worker")
    kube.create(site.ns, task(kind, name, target=target, **SPECS[kind]))
    done = site.becomes(kind, name, "Succeeded")
    job = kube.get("Job", site.ns, done["status"]["lastRun"]["jobName"])
    by_zip = result_of(kube, site, job["metadata"]["name"])

    pod = copy.deepcopy(job["spec"]["template"]["spec"])
    (container,) = pod["containers"]
    words = container["command"] + container.pop("args", [])
    place = words.index("-c")  # then the bootstrap, the zip and its digest
    container["command"] = [*words[:place], "-m", "django_operator_tasks", *words[place + 4 :]]
    zips = [m for m in container["volumeMounts"] if words[place].startswith(m["mountPath"])]
    container["volumeMounts"] = [m for m in container["volumeMounts"] if m not in zips]
    pod["volumes"] = [v for v in pod["volumes"] if v["name"] not in [m["name"] for m in zips]]
    container["image"] = PACKAGED
    for variable in container["env"]:
        if variable["name"] == "DATABASE_NAME":
            variable["value"] = "wheel"
    if kind == "DjangoCelery":
        site.python(SEND, "worker")
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "wheel-" + kind.lower()}, "spec": {"backoffLimit": 0, "template": {"spec": pod}}}
    kube.create(site.ns, made)
    packaged.append(("job", "wheel-" + kind.lower()))
    by_wheel = result_of(kube, site, "wheel-" + kind.lower())
    assert json.dumps(by_wheel).replace('"wheel"', '"zip"') == json.dumps(by_zip)
    assert by_zip["ok"]
    assert by_zip["count"]
