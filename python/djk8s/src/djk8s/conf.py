"""The settings of the application."""

from django_operator_tasks.conf import (
    IMPORT_STRINGS,
    PREFIX,
    AppSettings,
    import_from_string,
    perform_import,
    settings,
)

__all__ = ["IMPORT_STRINGS", "PREFIX", "AppSettings", "import_from_string", "perform_import", "settings"]
