"""The migration of the version after the first: so slow that pods ahead of it would be seen."""

import time

from django.db import migrations


def work(apps, schema_editor):
    time.sleep(10)


class Migration(migrations.Migration):
    dependencies = [("myapp", "0003_slugs")]
    operations = [migrations.RunPython(work, migrations.RunPython.noop)]
