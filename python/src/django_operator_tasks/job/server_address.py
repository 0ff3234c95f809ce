"""Where a database's server is looked for. Parses on Python 3.6."""

from typing import Any


def server_address(connection: Any) -> str:
    """The host or the path of the socket that the settings name, as Django's backends read them; empty where they name
    neither, as then a service, a file of options, the environment or the driver does."""
    settings = connection.settings_dict
    options = settings.get("OPTIONS") or {}
    named = [settings.get("HOST"), options.get("host")]
    if connection.vendor == "mysql":
        named = [options.get("unix_socket"), *reversed(named)]
    return str(next(filter(None, [options.get("hostaddr"), *named]), ""))
