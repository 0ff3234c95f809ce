import os

from django.db import migrations


def fail(apps, schema_editor):
    raise ValueError("the column has 3 rows too many; password is %s" % os.environ.get("DATABASE_PASSWORD"))


class Migration(migrations.Migration):
    dependencies = [("myapp", "0003_slugs")]
    operations = [migrations.RunPython(fail)]
