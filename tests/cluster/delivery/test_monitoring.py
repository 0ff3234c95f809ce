"""Alerts and dashboard are about what the program really exports, and what it exports is true."""

import json
import re
import subprocess
from collections import defaultdict

import pytest
import yaml
from delivery.conftest import BIN, CHARTS, IMAGE, await_kinds
from support.kube import ROOT, becomes, eventually, task

ALERTS = ROOT / "config/monitoring/alerts.yaml"
DASHBOARD = ROOT / "config/monitoring/dashboard.json"
# Labels that Prometheus adds to what it reads, with the chart's ServiceMonitor.
ADDED = {"operator_namespace", "le"}


def promtool(*argv):
    done = subprocess.run([str(BIN / "promtool"), *map(str, argv)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def rules():
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return group["rules"]


def test_each_alert_fires_when_it_should():
    promtool("check", "rules", "--lint-fatal", ALERTS)
    tests = ROOT / "tests/cluster/delivery/alerts_test.yaml"
    promtool("test", "rules", tests)
    seen = set(re.findall(r'alertname: (\w+)|alertname="(\w+)"', tests.read_text()))
    assert {one or other for one, other in seen} == {rule["alert"] for rule in rules()}


def test_each_alert_has_its_runbook():
    headings = set(re.findall(r"^## (\w+)$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE))
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "docs/alerts.md" and anchor == rule["alert"].lower() and rule["alert"] in headings


def test_the_chart_has_the_alerts_of_its_own_operator(helm, tmp_path):
    values = "metrics.serviceMonitor.enabled=true,alerts.enabled=true,alerts.labels.release=prometheus,alerts.runbookUrl=https://wiki.example.com/alerts"
    (rule,) = [d for d in helm.template("django-operator", "shop", "--set", values) if d["kind"] == "PrometheusRule"]
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    groups = tmp_path / "rules.yaml"
    groups.write_text(yaml.safe_dump(rule["spec"]))
    promtool("check", "rules", "--lint-fatal", groups)
    own = "operator_namespace='shop'"
    selectors = [selector for use in uses([r["expr"] for r in rule["spec"]["groups"][0]["rules"]]) for selector in use["selectors"]]
    assert selectors and all("operator_namespace" in selector["labels"] for selector in selectors)
    for each in rule["spec"]["groups"][0]["rules"]:
        assert each["labels"].pop("operator_namespace") == "shop"
    text = json.dumps(rule["spec"]).replace(own + ",", "").replace("{%s}" % own, "").replace("https://wiki.example.com/alerts", "docs/alerts.md")
    assert json.loads(text) == yaml.safe_load(ALERTS.read_text())


def test_the_chart_has_the_dashboard(helm):
    (made,) = [d for d in helm.template("django-operator", "shop", "--set", "dashboard.enabled=true") if "dashboard" in d["metadata"]["name"]]
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["data"] == {"django-operator.json": DASHBOARD.read_text()}


def queries():
    """What the dashboard asks, with what Grafana puts into it."""
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [v["query"].removeprefix("label_values(").partition(",")[0] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    return [query.replace("$namespace", "shop|blog").replace("$__rate_interval", "5m") for query in asked]


def test_panels_do_not_overlap():
    taken = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24
        taken |= cells


def uses(expressions):
    """Their selectors, with the labels of each, and what they group by."""
    done = subprocess.run([str(BIN / "selectors")], input=json.dumps(expressions), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def exported(text):
    """Names of series with their labels."""
    found = defaultdict(set)
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line).groups()
            found[name] |= set(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', labels or ""))
    return found


def scrape(kube, ns):
    (pod,) = kube.list("Pod", ns, "app.kubernetes.io/name=django-operator,app.kubernetes.io/component=manager")
    return kube.kubectl("get", "--raw", "/api/v1/namespaces/%s/pods/%s:8080/proxy/metrics" % (ns, pod["metadata"]["name"])).stdout


@pytest.fixture
def installed(kube, shop, cluster_helm_4):
    """The operator in the project's namespace, with watches that begin anew soon."""
    await_kinds(kube)
    cluster_helm_4(
        "install", "django-operator", CHARTS / "django-operator", *IMAGE, "-n", shop, "--set", "settings.watchSeconds=10", "--wait", "--timeout=3m",
    )
    yield cluster_helm_4
    cluster_helm_4("uninstall", "django-operator", "-n", shop, "--wait")


def test_what_is_asked_is_exported_and_true(kube, shop, installed):
    def shows(line):
        eventually(lambda: line in scrape(kube, shop).splitlines(), line)

    behind = 'django_operator_schema_behind_image{namespace="%s",target="Deployment/web",database="default"} ' % shop
    one = '{kind="%s",namespace="' + shop + '",name="%s"'
    kube.create(shop, task("DjangoMigrate", "all", target={"deployment": "web"}))
    becomes(kube, shop, "all", "Succeeded")
    shows(behind + "0")
    shows("django_operator_task_ready" + one % ("DjangoMigrate", "all") + "} 1")
    kube.create(shop, task("DjangoMigrate", "part", app="nosuchapp", target={"deployment": "web"}))
    becomes(kube, shop, "part", "CommandFailed")
    shows("django_operator_task_ready" + one % ("DjangoMigrate", "part") + "} 0")
    shows("django_operator_task_not_ready" + one % ("DjangoMigrate", "part") + ',state="Stalled",reason="CommandFailed"} 1')
    shows('django_operator_runs_total{kind="DjangoMigrate",namespace="%s",result="Failed"} 1' % shop)

    # Another image: behind, until everything was migrated by it.
    kube.kubectl("set", "image", "-n", shop, "deployment/web", "*=localhost/myapp:slow")
    shows(behind + "1")
    # A part of them is not everything, and a user is not a migration.
    kube.create(shop, task("DjangoMigrate", "back", app="myapp", migration="0003_slugs", target={"deployment": "web"}))
    becomes(kube, shop, "back", "Succeeded")
    shows(behind + "1")
    kube.patch("DjangoMigrate", shop, "all", {"spec": {"trigger": "2"}})
    shows(behind + "0")
    assert kube.get("DjangoMigrate", shop, "all")["status"]["schema"]["image"] == "localhost/myapp:slow"
    kube.patch("DjangoMigrate", shop, "back", {"spec": {"trigger": "2"}})
    eventually(lambda: kube.get("DjangoMigrate", shop, "back")["status"]["lastRun"]["number"] == 2)
    becomes(kube, shop, "back", "Succeeded")
    kube.kubectl("rollout", "undo", "-n", shop, "deployment/web")
    shows(behind + "1")

    # What alerts select by state is exported in these words.
    kube.create(shop, task("DjangoMigrate", "waits", target={"deployment": "none"}))
    becomes(kube, shop, "waits", "TargetNotFound")
    shows("django_operator_task_not_ready" + one % ("DjangoMigrate", "waits") + ',state="Reconciling",reason="TargetNotFound"} 1')
    states = {state for rule in rules() for state in re.findall(r'state="(\w+)"', rule["expr"])}
    assert states == set(re.findall(r'state="(\w+)"', scrape(kube, shop)))

    # A watch that is refused.
    kube.kubectl("delete", "-n", shop, "rolebinding", "django-operator")
    eventually(lambda: "django_operator_watch_errors_total{" in scrape(kube, shop), "an error of a watch")
    text = scrape(kube, shop)
    found = exported(text)
    types = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    assert len(types) == len(re.findall(r"^\| `django_operator_\w+` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    asked = queries() + [rule["expr"] for rule in rules()]
    for query, use in zip(asked, uses(asked), strict=True):
        for selector in use["selectors"]:
            assert selector["metric"] in found, query
            assert set(selector["labels"]) - ADDED <= found[selector["metric"]], query
        labels = set().union(*(found[selector["metric"]] for selector in use["selectors"]))
        assert set(use["grouping"]) <= labels | ADDED, query
