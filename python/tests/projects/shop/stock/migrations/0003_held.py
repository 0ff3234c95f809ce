from django.db import migrations

from stock.noting import note


class Migration(migrations.Migration):
    dependencies = [("stock", "0002_first")]
    operations = [note("0003")]
