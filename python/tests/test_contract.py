"""The helper's side of `tests/contract/helper.json`; the operator's is `tests/contract.rs`."""

import ast
import json
import sys

import pytest
from conftest import ROOT, SOURCE

sys.path.insert(0, str(SOURCE))

from django_operator_tasks.job import celery_control, commands, report
from django_operator_tasks.job.arguments import parse_arguments
from django_operator_tasks.job.run_context import RUN_CONTEXT_VARIABLE

PACKAGE = SOURCE / "django_operator_tasks"
CONTRACT = json.loads((ROOT / "tests/contract/helper.json").read_text())
FACTS = {*CONTRACT["facts"], *CONTRACT["gateFacts"]}


def trees():
    return [ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")]


def texts(tree):
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def first_arguments(*functions):
    """Texts that one of these functions is called with first."""
    found = set()
    for tree in trees():
        for node in ast.walk(tree):
            name = getattr(getattr(node, "func", None), "id", None) or getattr(
                getattr(node, "func", None), "attr", None
            )
            if isinstance(node, ast.Call) and name in functions and node.args:
                first = node.args[0]
                branches = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                found |= {each.value for each in branches if isinstance(each, ast.Constant)}
    return found


def test_every_reason_is_of_the_contract_and_each_of_it_is_given():
    given = first_arguments("TaskError", "TaskFailure", "fail_early")
    assert given <= set(CONTRACT["reasons"]), given - set(CONTRACT["reasons"])
    everywhere = set().union(*map(texts, trees()))
    assert set(CONTRACT["reasons"]) <= everywhere, set(CONTRACT["reasons"]) - everywhere


def test_every_action_is_of_the_contract_and_each_of_it_is_given():
    given = first_arguments("record_success")
    assert given <= set(CONTRACT["actions"]), given - set(CONTRACT["actions"])
    everywhere = set().union(*map(texts, trees()))
    assert set(CONTRACT["actions"]) <= everywhere, set(CONTRACT["actions"]) - everywhere


def test_the_line_has_the_fields_of_the_contract():
    class Connection:
        vendor, alias = "postgresql", "default"
        settings_dict = {"ENGINE": "django.db.backends.postgresql", "HOST": "db", "NAME": "shop"}

    made = report.Report()
    made.add_database(Connection)
    made.record_success("applied", ["a.0001"])
    line = json.loads(made.line())
    assert list(line) == CONTRACT["line"]["succeeded"] and line["ok"] is True
    made.started = "manage.py"
    assert list(json.loads(made.line())) == CONTRACT["line"]["succeeded"] + CONTRACT["line"]["discovered"]
    made.started = ""
    made.begin_steps(["check", "cleanup", "other"], first=2)
    made.end_step(2, 1, 3, {"reason": "DatabaseUnreachable"})
    several = json.loads(made.line())
    assert set(several) == {*CONTRACT["line"]["failed"], *CONTRACT["line"]["doneBefore"], *CONTRACT["line"]["several"]}
    assert list(several["steps"][1]) == CONTRACT["line"]["steps"]
    made = report.Report()
    made.add_database(Connection)
    made.record_success("applied", ["a.0001"])
    assert list(line["databases"][0]) == CONTRACT["line"]["databases"]
    made.record_failure(ValueError("no"))
    line = json.loads(made.line())
    assert set(line) == {*CONTRACT["line"]["failed"], *CONTRACT["line"]["doneBefore"]} and line["ok"] is False
    made.action = ""
    assert list(json.loads(made.line())) == CONTRACT["line"]["failed"]
    assert CONTRACT["line"]["limit"] == report.LIMIT


def test_a_worker_that_did_not_reply_is_marked_as_the_contract_says():
    assert CONTRACT["noReply"] == celery_control.NO_REPLY


def test_the_variables_and_facts_are_those_of_the_contract():
    assert RUN_CONTEXT_VARIABLE in CONTRACT["environment"]
    read = {
        node.args[0].value
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "get"
        and getattr(node.func.value, "id", getattr(getattr(node.func.value, "func", None), "id", ""))
        in ("context", "run_context")
    }
    assert read == FACTS, read ^ FACTS


def test_ensureadmin_reads_the_variables_of_the_contract(shop):
    """Each as the operator writes it."""
    values = {
        "USERNAME": "ann",
        "PASSWORD": "pw",
        "PASSWORD_POLICY": "on-create",
        "EMAIL": "a@b.c",
        "STAFF": "true",
        "SUPERUSER": "false",
        "ATTRIBUTES": '{"first_name": "Ann"}',
    }
    env = {"DJANGO_ADMIN_" + name: value for name, value in values.items()}
    assert {RUN_CONTEXT_VARIABLE, *env} == set(CONTRACT["environment"])
    code = (
        "from django.contrib.auth import get_user_model\n"
        "from django_operator_tasks.management.commands import ensureadmin\n"
        "names = ('username', 'password', 'email', 'update', 'password_policy', 'superuser', 'staff', 'attribute')\n"
        "print(ensureadmin.requested_user(dict.fromkeys(names), get_user_model()))"
    )
    found = shop.script(code, **env)
    for part in (
        "username='ann'",
        "password='pw'",
        "email='a@b.c'",
        "update_password=False",
        "staff=True",
        "superuser=False",
        "{'first_name': 'Ann'}",
    ):
        assert part in found, found


@pytest.mark.parametrize("argument", CONTRACT["arguments"])
def test_the_arguments_are_those_of_the_contract(argument):
    how = [] if argument in ("--discover", "--script", "--module", "--console") else ["--discover"]
    numbers = {"--lengths": "1", "--retries": "3", "--first": "1"}
    value = "" if argument in ("--discover", "--celery") else "=" + numbers.get(argument, "x")
    options, command = parse_arguments([*how, argument + value, "--", "check"])
    found = getattr(options, argument[2:].replace("-", "_"))
    assert found in (True, "x", ["x"], [1], 3, 1) and command == ["check"]


def test_the_commands_are_those_of_the_contract():
    """Those of this package; the others are Django's own."""
    own = {path.stem for path in (PACKAGE / "management/commands").glob("[a-z]*.py")}
    assert set(CONTRACT["commands"]) - {"collectstatic"} == set(commands.OVERRIDING_COMMANDS) <= own
