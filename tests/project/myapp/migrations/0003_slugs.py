from django.db import migrations
from django.utils.text import slugify


def fill(apps, schema_editor):
    for product in apps.get_model("myapp", "Product").objects.all():
        product.slug = slugify(product.name)
        product.save()


class Migration(migrations.Migration):
    dependencies = [("myapp", "0002_price")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
