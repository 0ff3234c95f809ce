"""Probes of the project's own."""

from django.contrib.auth.models import User

from django_operator_tasks.probes import NotReady, ReadinessProbe


class Never(ReadinessProbe):
    def ready(self, request):
        raise NotReady("never", status=503)


class Users(ReadinessProbe):
    """Uses the database, which is not allowed in an event loop."""

    def ready(self, request):
        User.objects.count()
