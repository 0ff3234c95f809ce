"""A watch that hangs, that is refused, or that says nothing, is no reason to believe that nothing has changed."""

import time

import pytest
from support.kube import becomes, eventually, reason, task
from support.proxy import Proxy

# What takes two minutes, or a watch's life several times over, takes longer on a machine that is busy.
LONG = 400
# The shortest life of a watch that can be set, so that what takes a watch's life takes little time.
SHORT = {"WATCH_SECONDS": "10"}


class Faulty:
    """Calls of some names meet a fault while it is on."""

    def __init__(self, kube, names, fault):
        self.on = False
        self.proxy = Proxy(kube.server, lambda call: fault if self.on and call.name in names else None)


def run_to(kube, ns, kubelet, wanted, name="m"):
    return becomes(kube, ns, name, wanted, timeout=LONG)


@pytest.mark.parametrize("fault", ["silent", "hang", "410", "500", "short"])
def test_the_end_of_a_run_is_seen_though_the_watch_of_jobs_is_not_to_be_trusted(kube, ns, operators, kubelet, fault):
    faulty = Faulty(kube, ("WATCH jobs", "WATCH pods"), fault)
    operators(ns, server=faulty.proxy.url, **SHORT).start()
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    kubelet.run(pod)
    run_to(kube, ns, kubelet, "Running")
    faulty.on = True
    eventually(lambda: sum(1 for call in faulty.proxy.names() if call.name == "WATCH jobs") > 1, "the next watch")
    kubelet.end(pod)
    run_to(kube, ns, kubelet, "Succeeded")  # by the look that asks, while no watch tells
    faulty.proxy.close()


@pytest.mark.parametrize("names, fault", [(("LIST jobs",), "hang"), (("LIST djangomigrates",), "500"), (("WATCH deployments",), "410"), (("WATCH djangousers",), "silent")])
def test_a_watch_that_never_begins_fails_the_probes_and_does_not_stay_so(kube, ns, operators, kubelet, names, fault):
    kubelet.work()
    faulty = Faulty(kube, names, fault)
    faulty.on = True
    operator = operators(ns, server=faulty.proxy.url, **SHORT)
    operator.start(wait=False)
    eventually(lambda: operator.answers(), "it serves")
    assert operator.http("/livez")[0] == 200
    code, text = eventually(lambda: (a := operator.http("/livez"))[0] == 503 and a, "liveness falls", LONG)
    assert names[0].split()[1] in text, text
    assert operator.http("/readyz")[0] == 503
    faulty.on = False
    eventually(lambda: operator.http("/livez")[0] == operator.http("/readyz")[0] == 200, "it begins when it can")
    kube.create(ns, task("DjangoMigrate", "m"))
    run_to(kube, ns, kubelet, "Succeeded")
    faulty.proxy.close()


def test_a_watch_that_is_refused_fails_readiness_alone(kube, ns, operators):
    """To begin anew would mend nothing, and would interrupt what works elsewhere."""
    faulty = Faulty(kube, ("WATCH podtemplates",), "403-html")
    operator = operators(ns, server=faulty.proxy.url, **SHORT).start()
    faulty.on = True
    eventually(lambda: operator.http("/readyz")[0] == 503, "readiness falls", LONG)
    time.sleep(15)  # after which liveness would have fallen
    assert operator.http("/livez")[0] == 200
    faulty.proxy.close()


def test_readiness_falls_when_a_watch_gets_lost_on_the_way(kube, ns, operators):
    faulty = Faulty(kube, ("WATCH pods",), "hang")
    operator = operators(ns, server=faulty.proxy.url, **SHORT).start()
    faulty.on = True
    code, text = eventually(lambda: (a := operator.http("/readyz"))[0] == 503 and a, "readiness falls", LONG)
    assert "pods" in text
    faulty.on = False
    eventually(lambda: operator.http("/readyz")[0] == 200)
    faulty.proxy.close()


def test_an_error_of_one_watch_holds_up_no_other_trigger(kube, ns, operators, kubelet):
    """The kind's own watch keeps failing; the Job's end is still seen at once."""
    faulty = Faulty(kube, ("WATCH djangomigrates", "LIST djangomigrates"), "500")
    operators(ns, server=faulty.proxy.url, **SHORT).start()
    kube.create(ns, task("DjangoMigrate", "m"))
    pod = eventually(lambda: kubelet.pods())[0]
    faulty.on = True
    failed = lambda: sum(1 for call in faulty.proxy.names() if call.name == "WATCH djangomigrates") > 4  # noqa: E731
    eventually(failed, "its watch failed several times")
    kubelet.run(pod)
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "m")) == "Running", timeout=25)
    kubelet.end(pod)
    eventually(lambda: reason(kube.get("DjangoMigrate", ns, "m")) == "Succeeded", timeout=25)
    faulty.proxy.close()


def test_the_api_servers_wish_for_patience_is_followed(kube, ns, operators, kubelet):
    """429 with Retry-After for everything: each call that is made is one of few."""
    faulty = Faulty(kube, (), "429")
    faulty.proxy.plan = lambda call: "429" if faulty.on else None
    operators(ns, server=faulty.proxy.url).start()
    for n in range(20):
        kube.create(ns, task("DjangoMigrate", "m%d" % n))
    eventually(lambda: len(kube.list("Job", ns)) == 20)
    faulty.on = True
    before = len(faulty.proxy.names())
    kubelet.work()
    eventually(lambda: all(p["status"].get("phase") == "Succeeded" for p in kubelet.pods()))
    eventually(lambda: len(faulty.proxy.names()) > before, "it asks")
    time.sleep(10)  # in which each is told to wait for a second; forty of them would ask four hundred times
    asked = len(faulty.proxy.names()) - before
    assert asked < 200, asked
    faulty.on = False
    for n in range(20):
        run_to(kube, ns, kubelet, "Succeeded", "m%d" % n)
    faulty.proxy.close()
