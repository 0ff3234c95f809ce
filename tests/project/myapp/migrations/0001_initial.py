from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    # The newest of auth, so that migrating this application alone leaves a database that users fit into.
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]
    operations = [
        migrations.CreateModel(
            name="Product",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("owner", models.ForeignKey(null=True, on_delete=models.CASCADE, to=settings.AUTH_USER_MODEL)),
                ("name", models.CharField(max_length=100)),
            ],
        )
    ]
