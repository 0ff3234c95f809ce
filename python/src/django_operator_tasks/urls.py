"""The probes' paths, to be included by projects that do not use ProbeMiddleware."""

from django.urls import path

from .views import LivenessView, ReadinessView, StartupView

urlpatterns = [
    path("livez", LivenessView.as_view(), name="liveness-probe"),
    path("healthz", LivenessView.as_view(), name="health-probe"),
    path("readyz", ReadinessView.as_view(), name="readiness-probe"),
    path("startupz", StartupView.as_view(), name="startup-probe"),
]
