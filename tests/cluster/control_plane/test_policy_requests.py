"""The policies: nobody has the operator do for them what they may not do themselves. By users with just the rights that a
test gives them, and word for word."""

import os
import subprocess

import pytest
import yaml
from support.kube import KINDS, ROOT, eventually, task
from support.policies import LIMITS_NS, POLICIES, answer

GRANT_JOBS = (
    "; to grant it: kubectl -n {ns} create role create-jobs --verb=create --resource=jobs.batch"
    "; kubectl -n {ns} create rolebinding create-jobs-'{user}' --role=create-jobs --user='{user}'"
)
NO_JOBS = "{user} needs the right to create jobs.batch in namespace {ns}, as %s" + GRANT_JOBS
ANY_COMMAND = NO_JOBS % "spec.commands can run anything there"
ANY_TEMPLATE = NO_JOBS % "the PodTemplate that spec.target.podTemplate names can run anything there"
OF_TEMPLATE = NO_JOBS % "Jobs run what a PodTemplate with that label holds"
NO_SECRET = (
    "{user} needs the right to get secrets/pw in namespace {ns}, as spec.passwordSecretRef names it"
    "; to grant it: kubectl -n {ns} create role get-pw --verb=get --resource=secrets --resource-name=pw"
    "; kubectl -n {ns} create rolebinding get-pw-'{user}' --role=get-pw --user='{user}'"
)
WRITER = [
    {"apiGroups": ["django.my.domain"], "resources": ["*"], "verbs": ["create", "get", "patch", "update"]},
    {"apiGroups": [""], "resources": ["podtemplates"], "verbs": ["create", "get", "patch"]},
]
CREATE_JOBS = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}


def get_secret(name):
    return {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}


@pytest.fixture
def user(kube, empty_ns):
    """Makes users with the right to write tasks and PodTemplates, and with those that are named."""
    number = iter(range(100))

    def make(name, *rules):
        name = "%s-%s" % (name, empty_ns)
        role_name = "role-%d" % next(number)
        role = {"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": role_name}, "rules": [*WRITER, *rules]}
        kube.create(empty_ns, role)
        kube.create(empty_ns, {
            "kind": "RoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": role_name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role_name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        })
        somebody = kube.as_user(name)
        eventually(lambda: somebody.call("GET", kube.path("PodTemplate", empty_ns, "x"), ok=()).get("code") == 404, "the role is in force")
        somebody.name = name
        return somebody

    return make


def command(name="c", **spec):
    return task("DjangoCommand", name, **{"commands": [["check"]], **spec})


def django_user(name="u", **spec):
    return task("DjangoUser", name, **{"username": "admin", "passwordSecretRef": {"name": "pw", "key": "password"}, **spec})


def pod_template(labels, name="next", image="i"):
    return {
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "django", "image": image}]}},
    }


DJANGO = {"app.kubernetes.io/component": "django-server"}
CELERY = {"app.kubernetes.io/component": "django-celery-work-celery", "a": "b"}
CREATES = [
    ("command", command(), ANY_COMMAND, ()),
    ("command with the right", command(), None, [CREATE_JOBS]),
    ("scheduled command", command(schedule={"cron": "@daily"}), ANY_COMMAND, ()),
    ("migration", task("DjangoMigrate", "m"), None, ()),
    ("migration of a Deployment", task("DjangoMigrate", "m", target={"deployment": "web"}), None, ()),
    ("migration of a PodTemplate", task("DjangoMigrate", "m", target={"podTemplate": "next"}), ANY_TEMPLATE, ()),
    ("the same with the right", task("DjangoMigrate", "m", target={"podTemplate": "next"}), None, [CREATE_JOBS]),
    ("no PodTemplate", task("DjangoMigrate", "m", target={"podTemplate": ""}), None, ()),
    ("purge of a PodTemplate", task("DjangoCelery", "p", app="a", target={"podTemplate": "next"}), ANY_TEMPLATE, [get_secret("pw")]),
    ("user", django_user(), NO_SECRET, ()),
    ("user, the right for another Secret", django_user(), NO_SECRET, [get_secret("other")]),
    ("user, the right for Jobs", django_user(), NO_SECRET, [CREATE_JOBS]),
    ("user with the right", django_user(), None, [get_secret("pw")]),
    ("user of a PodTemplate", django_user(target={"podTemplate": "next"}), ANY_TEMPLATE, [get_secret("pw")]),
    ("labelled PodTemplate", pod_template(DJANGO), OF_TEMPLATE, ()),
    ("PodTemplate with Celery's label", pod_template(CELERY), OF_TEMPLATE, ()),
    ("the same with the right for both", pod_template(CELERY), None, [CREATE_JOBS]),
    ("PodTemplate of somebody else", pod_template({"app.kubernetes.io/component": "other"}), None, ()),
    ("PodTemplate without labels", pod_template(None), None, ()),
]


@pytest.mark.parametrize("body, words, rules", [row[1:] for row in CREATES], ids=[row[0] for row in CREATES])
def test_what_may_be_created(kube, empty_ns, user, body, words, rules):
    somebody = user("alice", *rules)
    expected = words and words.format(user=somebody.name, ns=empty_ns)
    assert answer(somebody, "POST", kube.path(body["kind"], empty_ns), body) == expected
    assert answer(kube, "POST", kube.path(body["kind"], empty_ns, "") + "?dryRun=All", {**body, "metadata": {"name": "other"}}) is None


MAY_CHANGE = [
    {"spec": {"trigger": "2"}},
    {"spec": {"suspend": True}},
    {"spec": {"timeoutSeconds": 5, "historyLimit": 0, "retries": 1, "dependsOn": [{"kind": "DjangoMigrate", "name": "m"}]}},
    {"metadata": {"annotations": {"django.my.domain/requestedAt": "now"}, "labels": {"a": "b"}}},
    {"metadata": {"finalizers": ["example.com/kept"]}},
    {"metadata": {"finalizers": None}},
]


def test_an_update_needs_the_right_where_it_changes_what_runs(kube, empty_ns, user):
    alice, names = user("alice"), {"ns": empty_ns}
    names["user"] = alice.name
    for body in (command(), django_user(), task("DjangoMigrate", "m"), task("DjangoMigrate", "next", target={"podTemplate": "next"})):
        kube.create(empty_ns, body)
    rows = [
        ("DjangoCommand", "c", {"spec": {"commands": [["check"], ["flush"]]}}, ANY_COMMAND),
        ("DjangoCommand", "c", {"spec": {"image": "other:1"}}, ANY_COMMAND),
        ("DjangoCommand", "c", {"spec": {"target": {"deployment": "other"}}}, ANY_COMMAND),
        ("DjangoCommand", "c", {"spec": {"resume": True}}, ANY_COMMAND),
        ("DjangoCommand", "c", {"spec": {"schedule": {"cron": "@daily"}}}, ANY_COMMAND),
        ("DjangoMigrate", "m", {"spec": {"target": {"podTemplate": "next"}}}, ANY_TEMPLATE),
        ("DjangoMigrate", "m", {"spec": {"app": "people"}}, None),
        ("DjangoMigrate", "next", {"spec": {"app": "people"}}, ANY_TEMPLATE),
        ("DjangoMigrate", "next", {"spec": {"target": None}}, None),
        ("DjangoUser", "u", {"spec": {"username": "alice"}}, NO_SECRET),
        ("DjangoUser", "u", {"spec": {"passwordSecretRef": {"key": "other"}}}, NO_SECRET),
        *((kind, name, body, None) for kind, name in (("DjangoCommand", "c"), ("DjangoUser", "u")) for body in MAY_CHANGE),
    ]
    for kind, name, body, words in rows:
        found = answer(alice, "PATCH", kube.path(kind, empty_ns, name), body, "application/merge-patch+json")
        assert found == (words and words.format(**names)), (kind, name, body)
    kube.patch("DjangoCommand", empty_ns, "c", {"spec": {"resume": True}})
    taken_away = answer(alice, "PATCH", kube.path("DjangoCommand", empty_ns, "c"), {"spec": {"resume": None}}, "application/merge-patch+json")
    assert taken_away == ANY_COMMAND.format(**names), "to take a field away is a change"


def test_a_pod_template_that_tasks_run_is_not_changed_behind_them(kube, empty_ns, user):
    alice = user("alice")
    path = kube.path("PodTemplate", empty_ns, "next")
    kube.create(empty_ns, pod_template(DJANGO))
    kube.create(empty_ns, pod_template(None, name="plain"))

    def patched(path, body):
        return answer(alice, "PATCH", path, body, "application/merge-patch+json")

    words = OF_TEMPLATE.format(user=alice.name, ns=empty_ns)
    assert patched(path, {"template": {"spec": {"serviceAccountName": "admin"}}}) == words
    assert patched(path, {"metadata": {"labels": {"a": "b"}, "annotations": {"example.com/a": "b"}}}) is None
    for name in ("manage", "entrypoint", "allow-images"):
        annotation = "django.my.domain/" + name
        assert patched(path, {"metadata": {"annotations": {annotation: "python"}}}) == words, "Jobs start as it says"
        kube.patch("PodTemplate", empty_ns, "next", {"metadata": {"annotations": {annotation: "python"}}})
        assert patched(path, {"metadata": {"annotations": {annotation: None}}}) == words
    assert patched(kube.path("PodTemplate", empty_ns, "plain"), {"template": {"metadata": {"labels": DJANGO}}}) == words
    assert patched(kube.path("PodTemplate", empty_ns, "plain"), {"template": {"metadata": {"labels": {"a": "b"}}}}) is None


def test_the_way_to_grant_it_that_a_refusal_tells(kube, empty_ns, user):
    """Its commands are run as they stand, for two users, one of whom has a name that a shell would read."""
    for name in ("alice", "o'neil; $(id) *", "https://idp.example.com#bob"):
        somebody = user(name)
        for body in (command(), django_user()):
            path = kube.path(body["kind"], empty_ns) + "?dryRun=All"
            commands = answer(somebody, "POST", path, body).partition("to grant it: ")[2]
            environment = {"PATH": os.environ["PATH"], "KUBECONFIG": kube.kubeconfig}
            done = subprocess.run(["sh", "-c", commands], env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            eventually(lambda somebody=somebody, path=path, body=body: answer(somebody, "POST", path, body) is None, "it is granted", 60)


def of_limit(key):
    return "%s of ConfigMap limits in namespace %s" % (key, LIMITS_NS)


def test_the_commands_of_a_namespace(kube, empty_ns, limits):
    path = kube.path("DjangoCommand", empty_ns) + "?dryRun=All"
    key = "commands." + empty_ns

    def asks(*names):
        return answer(kube, "POST", path, command("other", commands=[[name, "--x"] for name in names]))

    def words(refused, allowed):
        text = "spec.commands: %s not among the commands of namespace %s (%s); to allow more, change %s"
        return text % (refused, empty_ns, allowed, of_limit(key))

    assert asks("flush") is None
    limits({key: "clearsessions, check\n"})
    eventually(lambda: asks("flush") == words("flush", "clearsessions, check"), "the list is in force", 30)
    assert asks("check", "flush", "shell") == words("flush, shell", "clearsessions, check")
    assert asks("check", "clearsessions", "check") is None
    kube.create(empty_ns, command())
    limits({key: ""})
    eventually(lambda: asks("check") == words("check", ""), "an empty list allows none", 30)
    assert answer(kube, "PATCH", kube.path("DjangoCommand", empty_ns, "c"), {"spec": {"suspend": True}}, "application/merge-patch+json") is None
    many = ["command_%03d" % n for n in range(700)]
    limits({key: ",\n".join(many)})
    eventually(lambda: asks("flush") == words("flush", ", ".join(many)[:500] + " ..."), "a long list is shortened", 30)
    assert asks(many[-1]) is None
    limits({key: "*"})
    eventually(lambda: asks("flush") is None, "all are allowed", 30)


DIGEST = "@sha256:" + "0" * 64


def test_images_by_digest_only(kube, empty_ns, limits):
    path, key = kube.path("DjangoMigrate", empty_ns) + "?dryRun=All", "imagesByDigest." + empty_ns

    def asks(image):
        return answer(kube, "POST", path, task("DjangoMigrate", "m", image=image))

    def words(image):
        text = "spec.image: %s has no digest; write it as NAME@sha256:..., which namespace %s asks for by %s"
        return text % (image, empty_ns, of_limit(key))

    assert asks("reg/shop:2") is None
    for value in ("true", "True ", "yes"):
        limits({key: value})
        eventually(lambda: asks("reg/shop:2") == words("reg/shop:2"), "digests are asked for", 30)
        limits({key: " False"})
        eventually(lambda: asks("reg/shop:2") is None, "no digests are asked for", 30)
    limits({key: "true"})
    for image in ("reg/shop@latest", "reg/shop:2@", "reg/shop@sha256:0", "reg/shop" + DIGEST + "x"):
        eventually(lambda image=image: asks(image) == words(image), image, 30)
    assert asks("reg/shop:2" + DIGEST) is None
    assert asks("") is None


def test_the_policies_are_typed_right(kube):
    """The API server checks expressions against the schemas of what a policy is about."""
    shipped = [yaml.safe_load(path.read_text().split("\n---\n")[0]) for path in (ROOT / "policies").rglob("*.yaml")]
    names = {d["metadata"]["name"] for d in shipped if d.get("kind") == "ValidatingAdmissionPolicy"}
    assert len(names) == 6

    def checked(name):
        found = kube.call("GET", POLICIES + "/" + name)
        return found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"] and found["status"]["typeChecking"]

    for name in names:
        found = eventually(lambda name=name: checked(name) is not False and [checked(name)], "%s is checked" % name)
        assert found == [{}], found


CAN = {"view": [], "edit": ["runner"], "admin": ["runner", "admin"]}


@pytest.mark.parametrize("role", ["django-viewer", "django-runner", "django-admin", "view", "edit", "admin"])
def test_what_the_roles_for_people_hold(kube, role):
    held = {"django-viewer": [], "django-runner": ["runner"], "django-admin": ["runner", "admin"]}.get(role, CAN.get(role))
    kube.kubectl("apply", "-k", str(ROOT / "config/user-roles"))
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/" + role

    def verbs(plural):
        rules = kube.call("GET", path)["rules"]
        return {v for r in rules if "django.my.domain" in r["apiGroups"] and plural in r["resources"] for v in r["verbs"]}

    read, write = {"get", "list", "watch"}, {"create", "delete", "deletecollection", "patch", "update"}
    for kind, plural in KINDS.items():
        needed = "admin" if kind == "DjangoCommand" else "runner"
        expected = read | (write if needed in held else set())
        eventually(lambda plural=plural, expected=expected: verbs(plural) == expected, "%s: %s" % (role, plural), 60)
    if role == "django-admin":
        assert {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]} in kube.call("GET", path)["rules"]


ASKS = [
    ("runner", task("DjangoMigrate", "m"), True),
    ("runner", task("DjangoCelery", "p", app="shop"), True),
    ("runner", task("DjangoMigrate", "m", target={"podTemplate": "next"}), False),
    ("runner", command(), False),
    ("runner", django_user(), False),
    ("admin", command(), True),
    ("admin", task("DjangoMigrate", "m", target={"podTemplate": "next"}), True),
    ("admin", django_user(), False),
    ("viewer", task("DjangoMigrate", "m"), False),
]


@pytest.mark.parametrize("role, body, allowed", ASKS)
def test_who_has_such_a_role_may(kube, empty_ns, role, body, allowed):
    kube.kubectl("apply", "-k", str(ROOT / "config/user-roles"))
    name = "%s-%s" % (role, empty_ns)
    kube.kubectl("create", "rolebinding", role, "-n", empty_ns, "--clusterrole=django-" + role, "--user=" + name)
    somebody = kube.as_user(name)
    path = kube.path(body["kind"], empty_ns)
    eventually(lambda: somebody.call("GET", path, ok=()).get("code") is None, "the role is in force")
    assert (answer(somebody, "POST", path + "?dryRun=All", body) is None) == allowed
