"""Who comes first, and what is asked for many at once."""

from support.fixtures import make_namespace, unique_name
from support.kube import POD, account, becomes, condition, deployment, eventually, jobs_made, reason, refuses, settle, task
from support.kubelet import Kubelet
from support.operator import grant


def test_under_a_limit_tasks_start_in_the_order_of_their_coming(kube, ns, operators, kubelet, audit):
    operators(ns, MAX_CONCURRENT_JOBS="1").start()
    begin = audit.position()
    kube.create(ns, task("DjangoMigrate", "first"))
    eventually(lambda: kube.list("Job", ns), "it has its Job")
    names = ["e", "b", "d", "a", "c"]
    for name in names:
        kube.create(ns, task("DjangoMigrate", name))
        becomes(kube, ns, name, "ConcurrencyLimit")
    kube.delete("DjangoMigrate", ns, "d")  # who leaves holds up nobody
    kubelet.work()
    becomes(kube, ns, names[-1], "Succeeded")
    made = [name.rsplit("-", 1)[0] for name in jobs_made(audit.entries(account(ns), begin))]
    assert made == ["first", "e", "b", "a", "c"]


def test_a_limit_holds_over_all_kinds_and_namespaces(kube, ns, operators, kubelet, audit):
    other = make_namespace(kube, unique_name("other"))
    grant(kube, ns, [other])
    kube.create(other, deployment())
    operators(ns, WATCH_NAMESPACE="%s,%s" % (ns, other), MAX_CONCURRENT_JOBS="2").start()
    tasks = [("DjangoMigrate", where, "m%d" % n) for n in range(3) for where in (ns, other)]
    tasks += [("DjangoStatic", where, "s") for where in (ns, other)]
    for kind, where, name in tasks:
        kube.create(where, task(kind, name))

    def reasons():
        return sorted(reason(kube.get(kind, where, name)) or "" for kind, where, name in tasks)

    eventually(lambda: reasons() == 6 * ["ConcurrencyLimit"] + 2 * ["Starting"])
    settle(audit, account(ns))
    assert len(kube.list("Job", ns)) + len(kube.list("Job", other)) == 2
    kubelet.work()
    beside = Kubelet(kube, other).work()
    eventually(lambda: reasons() == 8 * ["Succeeded"])
    beside.stop()


def test_events_are_asked_for_once_for_many_pods_that_cannot_be_made(kube, ns, operators, audit):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
    kube.create(ns, quota)
    refuses(kube, ns, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": POD})
    names = ["m%d" % n for n in range(16)]
    for name in names:
        kube.create(ns, task("DjangoMigrate", name))
    begin = audit.position()
    operators(ns).start()
    for name in names:
        found = becomes(kube, ns, name, "PodRejected")
        assert "exceeded quota" in condition(found, "Ready")["message"]
    asked = [e["requestURI"] for e in audit.entries(account(ns), begin) if e["verb"] == "list" and e["objectRef"]["resource"] == "events"]
    assert any("type%3DWarning" in uri for uri in asked), asked
    assert len(asked) < len(names), asked
