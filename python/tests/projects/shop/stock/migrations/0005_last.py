from django.db import migrations

from stock.noting import note


class Migration(migrations.Migration):
    dependencies = [("stock", "0004_index")]
    operations = [note("0005")]
