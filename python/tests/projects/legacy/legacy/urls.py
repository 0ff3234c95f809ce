from django.urls import include, path
from djk8s.views import LivenessView, ReadinessView

urlpatterns = [
    path("views/", include("djk8s.urls")),
    path("live", LivenessView.as_view(), name="live"),
    path("ready", ReadinessView.as_view(), name="ready"),
]
