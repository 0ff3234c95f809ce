"""Answers Kubernetes' probes before anything else."""

from django_operator_tasks.middleware import ProbeMiddleware

__all__ = ["ProbeMiddleware"]
