from django.db import models


class Run(models.Model):
    """Who ran which migration; one line each if nobody runs twice."""

    migration = models.CharField(max_length=50)
    process = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["migration"], name="run_migration")]
