"""lockedmigrate and the options of a project's own `migrate`."""

import pytest
from conftest import sql

OWN = (
    "from django.core.management.commands.migrate import Command as Migrate\n"
    "class Command(Migrate):\n    def add_arguments(self, parser):\n        "
)


def own_migrate(shop, body):
    """Gives the project a `migrate` of its own, that adds its options in this way."""
    shop.add_application("own", management__commands__migrate=OWN + body)


OPTIONS = {
    "a lock timeout of its own": ("parser.add_argument('--lock-timeout', default='0s')", ["--lock-timeout=5s"], "5s"),
    "one of that name": ("parser.add_argument('--pg', dest='lock_timeout', default='0s')", ["--pg=5s"], "5s"),
    "databases": ("parser.add_argument('--databases', default='none')", ["--databases=all"], "all"),
    "a default of its own": ("parser.set_defaults(database='default')", ["--database", "default"], "default"),
    "a group": ("", ["--database", "default"], "default"),
}


@pytest.mark.parametrize("what", OPTIONS)
def test_options_of_a_projects_own_migrate_are_its_own(shop, databases, what):
    shop.settings["DATABASES"] = {"default": databases("sqlite", "options")}
    line, given, seen_value = OPTIONS[what]
    adds = "super().add_arguments(parser)\n        " + line
    if what == "a group":
        adds = (
            "import argparse\n        super().add_arguments(parser)\n        group = parser.add_argument_group('g')\n"
        )
        adds += "        parser._handle_conflict_resolve(None, [('--database', parser._option_string_actions['--database'])])\n"
        adds += "        group.add_argument('--database', default='default')"
    name = {"databases": "databases"}.get(what, "lock_timeout" if seen_value == "5s" else "database")
    handle = f"        print('seen', options['{name}'])\n        super().handle(*args, **options)\n"
    own_migrate(shop, adds + "\n    def handle(self, *args, **options):\n" + handle)
    ours = "--migration-lock-timeout=3" if name == "lock_timeout" else "--lock-timeout=3"
    code, output = shop.manage("lockedmigrate", *given, ours)
    assert code == 0 and "seen " + seen_value in output, output
    if name == "lock_timeout":  # the operator's is ours, whatever the project's are called
        code, output = shop.manage("lockedmigrate", "--migration-lock-timeout=3")
        assert code == 0 and "seen 0s" in output, output


@pytest.mark.parametrize("how", ["set_defaults", "the action's own"])
def test_the_database_that_the_projects_migrate_means_by_default(shop, databases, how):
    shop.settings["DATABASES"] = {"default": databases("sqlite", "unmeant"), "primary": databases("sqlite", "meant")}
    change = {
        "set_defaults": "parser.set_defaults(database='primary')",
        "the action's own": "[a for a in parser._actions if a.dest == 'database'][0].default = 'primary'",
    }
    own_migrate(shop, "super().add_arguments(parser)\n        " + change[how])
    code, output = shop.manage("lockedmigrate", "--noinput")
    assert code == 0, output
    assert sql(shop.settings["DATABASES"]["primary"], "SELECT count(*) FROM django_migrations")[0][0] > 0
    assert sql(shop.settings["DATABASES"]["default"], "SELECT count(*) FROM sqlite_master") == [(0,)]


def test_a_database_option_in_a_group_of_the_projects_migrate(shop, databases):
    shop.settings["DATABASES"] = {"default": databases("sqlite", "grouped")}
    own_migrate(
        shop,
        "class Others:\n            def add_argument(self, *flags, **kwargs):\n"
        "                if '--database' not in flags: parser.add_argument(*flags, **kwargs)\n"
        "        Migrate.add_arguments(self, Others())\n"
        "        parser.add_argument_group('g').add_argument('--database', default='default')\n",
    )
    code, output = shop.manage("lockedmigrate", "--noinput")
    assert code == 0 and "Applying stock.0005_last" in output, output
