from django.db import migrations

from stock.noting import note


class Migration(migrations.Migration):
    dependencies = [("stock", "0001_initial")]
    operations = [note("0002")]
