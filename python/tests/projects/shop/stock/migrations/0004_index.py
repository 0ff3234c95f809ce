from django.conf import settings
from django.db import migrations, models

if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
    from django.contrib.postgres.operations import AddIndexConcurrently as AddIndex
else:
    AddIndex = migrations.AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("stock", "0003_held")]
    operations = [AddIndex("Run", models.Index(fields=["migration"], name="run_migration"))]
