"""The probes as views."""

from django_operator_tasks.views import LivenessView, ReadinessView, StartupView

__all__ = ["LivenessView", "ReadinessView", "StartupView"]
