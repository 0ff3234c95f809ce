"""The migration of a version that must not be rolled out."""

from django.db import migrations


def fail(apps, schema_editor):
    raise RuntimeError("this release is broken")


class Migration(migrations.Migration):
    dependencies = [("myapp", "0003_slugs")]
    operations = [migrations.RunPython(fail, migrations.RunPython.noop)]
