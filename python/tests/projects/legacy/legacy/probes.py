import os

from djk8s.probes import NotReady, ReadinessProbe


class FlagProbe(ReadinessProbe):
    def ready(self, request):
        if "NOT_READY" in os.environ:
            raise NotReady("flag: not today", status=int(os.environ["NOT_READY"]))
