"""Tasks that tests start, watch and revoke."""

import time

from celery import shared_task


@shared_task
def add(x, y):
    return x + y


@shared_task
def long(seconds):
    """Runs long enough to be terminated."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5)
    return "finished"
