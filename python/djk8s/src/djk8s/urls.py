"""The views by name."""

from django_operator_tasks.urls import urlpatterns

__all__ = ["urlpatterns"]
