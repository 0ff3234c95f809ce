"""`migrate`, as the project itself has it, under a lock that the database holds."""

from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from ... import report
from ...honesty import check_database
from ...locks import migration_lock
from ...waiting import for_database

DEFAULT_LOCK_ID = 1000
# Projects may bring a `migrate` of their own (django-tenants does); that is the one to lock.
ProjectMigrate = type(load_command_class(get_commands()["migrate"], "migrate"))


class Command(ProjectMigrate):
    help = "Run Django migrations under a lock in the database; safe across multiple processes."

    def add_arguments(self, parser):
        default = getattr(settings, "DJK8S_MIGRATE_LOCK_ID", DEFAULT_LOCK_ID)
        parser.add_argument("-L", "--lock-id", type=int, default=default, help="The lock ID to use for migrations.")
        parser.add_argument(
            "--lock-timeout", type=float, default=None, metavar="SEC",
            help="Seconds to wait for the lock before failing. Default: wait without end.",
        )
        parser.add_argument(
            "--lock-mode", choices=["auto", "none"], default="auto",
            help="auto: the lock that the database's engine has; none: no lock. Default: auto.",
        )
        super().add_arguments(parser)

    def handle(self, *args, **options):
        lock_id, timeout = options.pop("lock_id"), options.pop("lock_timeout")
        mode = options.pop("lock_mode")
        if options.get("plan") or options.get("check_unapplied"):
            return super().handle(*args, **options)
        connection = connections[options["database"]]
        check_database(connection)
        for_database(connection)
        report.current.used(connection)
        if mode == "none":
            return self.migrate(connection, *args, **options)
        say = self.stdout.write if options.get("verbosity", 1) else lambda text: None
        with migration_lock(connection, lock_id, timeout, say):
            return self.migrate(connection, *args, **options)

    def migrate(self, connection, *args, **options):
        """Migrates, and tells what that changed; also when it breaks off half-way."""
        before = applied(connection)
        try:
            return super().handle(*args, **options)
        finally:
            after = applied(connection)
            came = [name for name in after if name not in before]
            went = [name for name in before if name not in after]
            if options.get("prune"):
                report.current.did("pruned", went)
            elif went and not came:
                report.current.did("unapplied", went)
            else:
                report.current.did("applied", came)


def applied(connection):
    """What `django_migrations` says, oldest first."""
    try:
        found = MigrationRecorder(connection).applied_migrations()
    except Exception:  # the connection broke, which the command itself reports better
        return {}
    records = sorted(found.items(), key=lambda item: getattr(item[1], "pk", 0) or 0)
    return {"%s.%s" % key: True for key, _ in records}
