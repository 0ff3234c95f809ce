"""What a `migrate` is said to have done: what it did."""

import json
import sys
from types import SimpleNamespace

import pytest
from conftest import SOURCE, sql

ENGINES = ["sqlite", "postgresql", "mysql"]
HEAD = "from django.db import migrations, models\nclass Migration(migrations.Migration):\n"
STEP = HEAD + "    dependencies = [('counted', '%s')]\n    operations = [migrations.RunSQL('SELECT 1', 'SELECT 1')]\n"
FIRST = (
    HEAD
    + "    initial = True\n    operations = [migrations.CreateModel('Thing', [('id', models.AutoField(primary_key=True))])]\n"
)
SQUASHED = (
    HEAD
    + "    initial = True\n    replaces = [('counted', '0001_initial'), ('counted', '0002_two'), ('counted', '0003_three')]\n"
    "    operations = [migrations.CreateModel('Thing', [('id', models.AutoField(primary_key=True))])]\n"
)
FILES = {
    "migrations__0001_initial": FIRST,
    "migrations__0002_two": STEP % "0001_initial",
    "migrations__0003_three": STEP % "0002_two",
    "migrations__0004_four": STEP % "0003_three",
}


@pytest.fixture(params=ENGINES)
def said(request, shop, databases, tmp_path):
    """Runs lockedmigrate; its exit status and what stands in the log."""
    shop.settings["DATABASES"] = {"default": databases(request.param, "changes")}
    log = tmp_path / "log"

    def said(*argv):
        log.write_text("")
        code, output = shop.manage("lockedmigrate", "counted", *argv, DJK8S_TERMINATION_LOG=str(log))
        line = json.loads(log.read_text())
        return code, line.get("action"), line.get("count"), line.get("names"), output

    return said


def squash(shop, *, only=False):
    home = shop.tmp_path / "more/counted/migrations"
    (home / "0001_squashed_0003_three.py").write_text(SQUASHED)
    if only:
        for name in ("0001_initial", "0002_two", "0003_three"):
            (home / (name + ".py")).unlink()
        (home / "0004_four.py").write_text(STEP % "0001_squashed_0003_three")


def test_those_that_are_only_recorded_are_not_applied(shop, said):
    shop.add_application("counted", **FILES)
    assert said("0002", "--fake")[:4] == (0, "faked", 2, ["counted.0001_initial", "counted.0002_two"])
    assert said("--fake")[1:4] == ("faked", 2, ["counted.0003_three", "counted.0004_four"])
    assert said("0003", "--fake")[1:4] == ("faked", 1, ["counted.0004_four"])
    assert said("0003", "--fake")[1:3] == ("faked", 0)


def test_an_initial_one_whose_tables_are_there(shop, said):
    shop.add_application("counted", **FILES)
    assert said("0001")[1:4] == ("applied", 1, ["counted.0001_initial"])
    sql(shop.settings["DATABASES"]["default"], "DELETE FROM django_migrations WHERE app = 'counted'")
    names = ["counted.0001_initial (faked)", "counted.0002_two"]
    assert said("0002", "--fake-initial")[1:4] == ("applied", 2, names)
    sql(shop.settings["DATABASES"]["default"], "DELETE FROM django_migrations WHERE app = 'counted'")
    assert said("0001", "--fake-initial")[1:4] == ("faked", 1, ["counted.0001_initial (faked)"])


def test_a_squashed_one_that_ran_is_one(shop, said):
    shop.add_application("counted", **FILES)
    squash(shop, only=True)
    names = ["counted.0001_squashed_0003_three", "counted.0004_four"]
    for argv, action in (([], "applied"), (["zero"], "unapplied")):
        _, done, count, listed, _ = said(*argv)
        assert (done, count, sorted(listed)) == (action, 2, names)


def test_those_that_ran_in_place_of_a_squashed_one_are_what_ran(shop, said):
    shop.add_application("counted", **FILES)
    assert said("0002")[2] == 2
    squash(shop)
    assert said()[1:4] == ("applied", 2, ["counted.0003_three", "counted.0004_four"])


def test_a_squashed_one_whose_parts_had_run_is_recorded_and_nothing_else(shop, said):
    shop.add_application("counted", **FILES)
    assert said("0003")[2] == 3
    squash(shop)
    assert said("0001_squashed_0003_three")[1:3] == ("applied", 0)


def test_an_executor_is_left_as_it_was(shop):
    """Whatever other threads migrate meanwhile, and whoever else takes the method's place."""
    code = """
import threading
from types import SimpleNamespace
from django.db.migrations.executor import MigrationExecutor
before = MigrationExecutor.apply_migration
def run(executor, number, fake=False):
    executor.progress_callback("apply_success", number, fake)
MigrationExecutor.apply_migration = run
from django_operator_tasks.db.executors import hear_executors
heard, told, first_in, second_out = [], [], threading.Event(), threading.Event()
def step(number):
    executor = SimpleNamespace(connection="c%d" % number, progress_callback=lambda *step: told.append(step))
    MigrationExecutor.apply_migration(executor, number, fake=True)
def first():
    with hear_executors(lambda *step: heard.append(("first", *step))):
        first_in.set(); second_out.wait(); step(1)
thread = threading.Thread(target=first); thread.start(); first_in.wait()
with hear_executors(lambda *step: heard.append(("second", *step))):
    step(2)
step(3)
second_out.set(); thread.join()
print(heard == [("second", "c2", "apply_success", 2, True), ("first", "c1", "apply_success", 1, True)], len(told))
print(MigrationExecutor.apply_migration is run)
for number in (4, 5):
    with hear_executors(lambda *step: heard.append(step)):
        if number == 4:
            inner = MigrationExecutor.apply_migration
            MigrationExecutor.apply_migration = lambda *args, **kwargs: inner(*args, **kwargs)
        step(number)
    step(6)
print([step[2] for step in heard[2:]], len(told))
"""
    assert shop.script(code).splitlines() == ["True 3", "True", "[4, 5] 7"]


A, B, C, D, INNER, OUTER = [("counted", name) for name in ("a", "b", "c", "d", "inner", "outer")]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [A, B, C, INNER, D, OUTER], [OUTER]),
        ([A, B, C], [A, B, C, D, INNER, OUTER], [D]),
        ([A, B, C, INNER], [A, B, C, INNER, D, OUTER], [D]),
        ([A], [A, B, C, D, INNER, OUTER], [B, C, D]),
        ([A, B, C, D], [A, B, C, D, INNER, OUTER], []),
        ([A, B, C, INNER, D], [A, B, C, INNER, D, OUTER], []),
    ],
)
def test_a_squashed_one_may_stand_for_a_squashed_one(before, after, expected):
    """Since Django 6."""
    sys.path.insert(0, str(SOURCE))
    from django_operator_tasks.db.migration_changes import without_replaced

    replaces = {INNER: [A, B, C], OUTER: [INNER, D]}
    loader = SimpleNamespace(replacements={key: SimpleNamespace(replaces=keys) for key, keys in replaces.items()})
    assert without_replaced(loader, after, set(before)) == expected
    assert without_replaced(loader, [], set(after)) == []


def test_a_migration_that_ends_the_process_over_rows_that_cannot_be_shown_has_failed(shop, said):
    broken = HEAD + (
        "    dependencies = [('counted', '0001_initial')]\n"
        "    def act(apps, editor):\n"
        "        import sys\n"
        "        from django.db.models import ProtectedError\n"
        "        class Row:\n"
        "            def __repr__(self): raise LookupError('no such table')\n"
        "        try: raise ProtectedError('they are referenced', {Row()})\n"
        "        except ProtectedError: sys.exit('the teams still have clients')\n"
        "    operations = [migrations.RunPython(act)]\n"
    )
    shop.add_application("counted", migrations__0001_initial=FIRST, migrations__0002_two=broken)
    code, action, count, names, output = said()
    assert (code, action, count, names) == (1, "applied", 1, ["counted.0001_initial"]), output


def test_what_was_done_before_one_fails_is_told(shop, said):
    broken = {
        **FILES,
        "migrations__0003_three": HEAD
        + "    dependencies = [('counted', '0002_two')]\n    operations = [migrations.RunSQL('NONSENSE')]\n",
    }
    shop.add_application("counted", **broken)
    code, action, count, names, _ = said()
    assert (code, action, count, names) == (1, "applied", 2, ["counted.0001_initial", "counted.0002_two"])
