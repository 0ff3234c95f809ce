"""Tasks that wait for others; the test plays the kubelet. Whoever waits is told, and does not ask: each change is followed
long before anything is looked at again by itself."""

import itertools
import json

import pytest
from support.kube import account, becomes, condition, eventually, jobs_made, message, reason, settle, task


def on(*tasks):
    return [{"kind": kind, "name": name} for kind, name in tasks]


M = ("DjangoMigrate", "m")
CHAIN = [("DjangoUser", "u"), ("DjangoMigrate", "m"), ("DjangoCommand", "c"), ("DjangoStatic", "s")]
SPECS = {
    "DjangoUser": {"username": "ann", "passwordSecretRef": {"name": "pw", "key": "password"}},
    "DjangoCommand": {"commands": [["check"]]},
}


def spec(kind, **more):
    return {**SPECS.get(kind, {}), **more}


def number(found):
    return found["status"]["lastRun"]["number"]


@pytest.fixture
def play(kube, ns, kubelet):
    """Plays the kubelet for the pod of a task's run of that number."""

    def played(kind, name, run=1, fails=False):
        found = kubelet.pod_of_run(kind, name, run)
        kubelet.run(found)
        if fails:
            kubelet.end(found, 1, {"ok": False, "reason": "LockTimeout", "message": "held"})
            return becomes(kube, ns, name, "LockTimeout", kind)
        kubelet.end(found)
        ended = lambda: (t := kube.get(kind, ns, name)) and number(t) == run and t["status"]["lastRun"].get("result") and t  # noqa: E731
        return eventually(ended, "%s %s has run %d times" % (kind, name, run))

    return played


def test_a_chain_applied_in_reverse_order_runs_in_the_right_one(kube, ns, operator, play, audit):
    begin = audit.position()
    chained = list(zip(CHAIN, [None, *CHAIN[:-1]], strict=True))
    objects = [task(kind, name, **spec(kind, **({"dependsOn": on(before)} if before else {}))) for (kind, name), before in chained]
    kube.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects[::-1]}), ns)
    for kind, name in CHAIN[1:]:
        found = becomes(kube, ns, name, "DependencyNotReady", kind)
        assert condition(found, "Reconciling")["status"] == "True" and condition(found, "Finished")["status"] == "False"
        assert "lastRun" not in found["status"], "no run number is used up by waiting"
    assert message(kube.get("DjangoCommand", ns, "c")) == "waiting until DjangoMigrate m has succeeded"
    for done, (kind, name) in enumerate(CHAIN):
        eventually(lambda so_far=done: len(kube.list("Job", ns)) > so_far)
        assert len(kube.list("Job", ns)) == done + 1
        play(kind, name)
    for kind, name in CHAIN:
        becomes(kube, ns, name, "Succeeded", kind)
    settle(audit, account(ns))
    made = [name.rsplit("-", 1)[0] for name in jobs_made(audit.entries(account(ns), begin))]
    assert made == [name for _, name in CHAIN]
    # Of those that have run, one that runs again concerns nobody who did not ask for that.
    kube.patch("DjangoUser", ns, "u", {"spec": {"trigger": "again"}})
    play("DjangoUser", "u", 2)
    settle(audit, account(ns))
    assert number(kube.get("DjangoMigrate", ns, "m")) == 1


def test_one_that_is_missing_is_waited_for(kube, ns, operator, play):
    kube.create(ns, task("DjangoStatic", "s", dependsOn=on(M)))
    found = becomes(kube, ns, "s", "DependencyNotFound", "DjangoStatic")
    assert condition(found, "Reconciling")["status"] == "True" and "there is no DjangoMigrate m" in message(found)
    kube.create(ns, task(*M))
    play(*M)
    play("DjangoStatic", "s")
    becomes(kube, ns, "s", "Succeeded", "DjangoStatic")


def test_one_that_fails_stalls_who_waits_until_it_is_mended(kube, ns, operator, play):
    kube.create(ns, task(*M))
    kube.create(ns, task("DjangoStatic", "s", dependsOn=on(M)))
    kube.create(ns, task("DjangoCommand", "c", commands=[["check"]], dependsOn=on(("DjangoStatic", "s"))))
    becomes(kube, ns, "s", "DependencyNotReady", "DjangoStatic")
    becomes(kube, ns, "c", "DependencyNotReady", "DjangoCommand")
    play(*M, fails=True)
    for kind, name, words in (("DjangoStatic", "s", "DjangoMigrate m has failed (LockTimeout)"), ("DjangoCommand", "c", "DjangoStatic s has failed (DependencyFailed)")):
        found = eventually(lambda: (t := kube.get(kind, ns, name)) and condition(t, "Stalled").get("reason") == "DependencyFailed" and t)
        assert condition(found, "Finished")["status"] == "True" and words in message(found)
    kube.patch(*M[:1], ns, "m", {"spec": {"trigger": "mended"}})
    play(*M, 2)
    play("DjangoStatic", "s")
    play("DjangoCommand", "c")
    becomes(kube, ns, "c", "Succeeded", "DjangoCommand")


def test_a_failure_of_before_is_no_failure_yet(kube, ns, operator, play):
    """Both may be about to be applied, in whatever order."""
    kube.create(ns, task(*M))
    play(*M, fails=True)
    kube.create(ns, task("DjangoStatic", "s", dependsOn=on(M)))
    found = becomes(kube, ns, "s", "DependencyFailed", "DjangoStatic")
    assert condition(found, "Reconciling")["status"] == "True" and condition(found, "Finished")["status"] == "False"
    kube.patch("DjangoMigrate", ns, "m", {"metadata": {"annotations": {"django.my.domain/requestedAt": "now"}}})
    play(*M, 2)
    play("DjangoStatic", "s")


def test_a_circle_is_named_whole_by_each_of_its_members(kube, ns, operator, play):
    kube.create(ns, task("DjangoUser", "u", **spec("DjangoUser")))
    play("DjangoUser", "u")
    kube.create(ns, task("DjangoMigrate", "m", dependsOn=on(("DjangoUser", "u"))))
    play(*M)
    kube.create(ns, task("DjangoStatic", "s", dependsOn=on(M)))
    play("DjangoStatic", "s")
    kube.patch("DjangoUser", ns, "u", {"spec": {"dependsOn": on(("DjangoStatic", "s"))}})
    members = [("DjangoUser", "u"), ("DjangoMigrate", "m"), ("DjangoStatic", "s")]
    words = {message(becomes(kube, ns, name, "DependencyCycle", kind)) for kind, name in members}
    assert len(words) == 1 and "DjangoMigrate m -> DjangoUser u -> DjangoStatic s -> DjangoMigrate m" in words.pop()
    for kind, name in members:
        found = kube.get(kind, ns, name)
        assert condition(found, "Stalled")["status"] == condition(found, "Finished")["status"] == "True"
    kube.patch("DjangoUser", ns, "u", {"spec": {"dependsOn": None}})
    for kind, name in members:
        assert number(becomes(kube, ns, name, "Succeeded", kind)) == 1, "nothing was due"


def test_nobody_overtakes_a_migration_that_follows_the_image(kube, ns, operator, play, audit):
    kube.create(ns, task("DjangoMigrate", "m", runPolicy="OnImageChange"))
    kube.create(ns, task("DjangoStatic", "s", runPolicy="OnImageChange", dependsOn=on(M)))
    kube.create(ns, task("DjangoCommand", "c", commands=[["check"]], dependsOn=on(M)))
    play(*M)
    play("DjangoStatic", "s")
    play("DjangoCommand", "c")
    begin = audit.position()
    container = {"name": "django", "image": "localhost/myapp:2"}
    kube.patch("Deployment", ns, "web", {"spec": {"template": {"spec": {"containers": [container]}}}})
    kube.patch("DjangoCommand", ns, "c", {"spec": {"trigger": "2"}})
    becomes(kube, ns, "s", "DependencyNotReady", "DjangoStatic")
    becomes(kube, ns, "c", "DependencyNotReady", "DjangoCommand")
    play(*M, 2)
    play("DjangoStatic", "s", 2)
    assert play("DjangoCommand", "c", 2)["status"]["lastRun"]["image"] == "localhost/myapp:2"
    settle(audit, account(ns))
    assert [name.rsplit("-", 1)[0] for name in jobs_made(audit.entries(account(ns), begin))][0] == "m"


def test_who_asks_for_it_runs_again_when_a_dependency_has(kube, ns, operator, play, audit):
    kube.create(ns, task(*M))
    kube.create(ns, task("DjangoStatic", "s", dependsOn=on(M), rerunWithDependencies=True))
    play(*M)
    first = play("DjangoStatic", "s")["status"]["lastRun"]
    uid = kube.get(*M[:1], ns, "m")["metadata"]["uid"]
    assert first["dependencies"] == [{"kind": "DjangoMigrate", "name": "m", "uid": uid, "run": 1}]
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"trigger": "again"}})
    becomes(kube, ns, "s", "DependencyNotReady", "DjangoStatic")
    play(*M, 2)
    again = play("DjangoStatic", "s", 2)["status"]["lastRun"]
    assert again["cause"] == "Dependency" and again["dependencies"][0]["run"] == 2
    kube.delete("DjangoMigrate", ns, "m")
    settle(audit, account(ns))
    assert reason(kube.get("DjangoStatic", ns, "s")) == "Succeeded", "one that is gone asks for nothing"


def test_who_others_depend_on_is_not_thrown_away(kube, ns, operators, kubelet):
    kubelet.work()
    operators(ns, NUM_OLD_CRS="1").start()
    kube.create(ns, task("DjangoMigrate", "m"))
    becomes(kube, ns, "m", "Succeeded")
    kube.create(ns, task("DjangoStatic", "s", dependsOn=on(M)))
    becomes(kube, ns, "s", "Succeeded", "DjangoStatic")
    for name in ("a", "b", "c"):
        kube.create(ns, task("DjangoMigrate", name))
        becomes(kube, ns, name, "Succeeded")
    eventually(lambda: [t["metadata"]["name"] for t in kube.list("DjangoMigrate", ns)] == ["c", "m"])


def test_one_that_is_named_later_counts_from_then_on(kube, ns, operator, play, audit):
    kube.create(ns, task(*M))
    play(*M)
    kube.create(ns, task("DjangoStatic", "s"))
    play("DjangoStatic", "s")
    kube.patch("DjangoStatic", ns, "s", {"spec": {"dependsOn": on(M), "rerunWithDependencies": True}})
    eventually(lambda: kube.get("DjangoStatic", ns, "s")["status"]["lastRun"].get("dependencies"))
    settle(audit, account(ns))
    assert number(kube.get("DjangoStatic", ns, "s")) == 1, "nothing has run again"
    kube.patch("DjangoMigrate", ns, "m", {"spec": {"trigger": "again"}})
    play(*M, 2)
    assert play("DjangoStatic", "s", 2)["status"]["lastRun"]["cause"] == "Dependency"


def test_a_long_chain_of_those_that_follow_each_other_is_bounded(kube, ns, operators, audit):
    """Of those that only wait, as many as there are; of those that follow each other, as many as is said."""
    names = ["c%03d" % n for n in range(200)]
    for follows in (False, True):
        items = [
            task("DjangoStatic", name + "-follows" * follows, suspend=True, rerunWithDependencies=follows, dependsOn=on(("DjangoStatic", before + "-follows" * follows)))
            for before, name in itertools.pairwise(names)
        ]
        kube.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), ns)
    operator = operators(ns).start()
    last = lambda follows: kube.get("DjangoStatic", ns, names[-1] + "-follows" * follows)  # noqa: E731
    for follows in (False, True):
        eventually(lambda follows=follows: reason(last(follows)) == "Suspended")
        kube.patch("DjangoStatic", ns, names[-1] + "-follows" * follows, {"spec": {"suspend": False}})
    eventually(lambda: reason(last(False)) == "DependencyNotReady")
    eventually(lambda: reason(last(True)) in ("DependencyNotReady", "DependencyFailed"))
    assert operator.alive()
