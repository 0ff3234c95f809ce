"""Management commands, probes and checks for Django projects that run in Kubernetes."""

__version__ = "0.1.0"
