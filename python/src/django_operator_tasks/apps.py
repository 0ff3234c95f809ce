"""The Django application, for projects that install the package."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    name = "django_operator_tasks"
    label = "django_operator_tasks"
    verbose_name = "Django Operator Tasks"
