"""The Django application, for projects that install the package."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Registers the system checks, and the heartbeat in Celery's processes."""

    default = True
    name = "django_operator_tasks"
    label = "django_operator_tasks"
    verbose_name = "Django Operator Tasks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import celery_heartbeat, checks

        checks.register_all()
        celery_heartbeat.connect()


class Djk8SConfig(TasksConfig):
    """The same by the name that it has in djk8s, for projects that name it."""

    default = False
