"""The Django application."""

import logging

from django_operator_tasks import apps


class Djk8SConfig(apps.TasksConfig):
    """As `djk8s` in INSTALLED_APPS."""

    default = True
    name = "djk8s"
    label = "kubernetes"
    verbose_name = "Django Kubernetes"

    def ready(self) -> None:
        super().ready()
        # Whoever configured the logger by its old name hears what the probes say.
        logging.getLogger("django_operator_tasks.probe").parent = logging.getLogger("djk8s.probe")
