"""Management commands for Django projects that run in Kubernetes."""
