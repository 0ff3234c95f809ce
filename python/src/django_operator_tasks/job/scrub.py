"""Takes secrets out of free text. Parses on Python 3.6."""

import os
import re
import sys
from typing import Any, Iterable, Set, Tuple

from .error_text import redact_row_values
from .run_context import RUN_CONTEXT_VARIABLE, run_context

SHORTEST_UNNAMED_SECRET = 6
PASSWORD_VARIABLE = "DJANGO_ADMIN_PASSWORD"  # noqa: S105 - its name
# Variables that images and Kubernetes set themselves and that are no secrets, for pods that take whole
# Secrets into their environment.
KNOWN_PLAIN_VARIABLES = re.compile(
    r"^(PATH|HOME|HOSTNAME|PWD|LANG|LC_.*|TZ|TERM|SHLVL|GPG_KEY|PYTHON.*|DJANGO_SETTINGS_MODULE|VIRTUAL_ENV"
    r"|KUBERNETES_.*|.*_SERVICE_(HOST|PORT.*)|.*_PORT(_\d+_(TCP|UDP)(_.*)?)?)$"
)
CREDENTIALS_IN_URL = re.compile(r"(?<=://)\S+@|(?<=[?&]password=)[^&\s]+", re.IGNORECASE)
PASSWORD_OPTIONS = ("PASSWORD", "password", "passwd")
# Variables whose names say that they are secret, as Django's debug page knows them too.
SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|SIGNATURE|CREDENTIAL|API_?KEY|(^|_)(PASS|PW|KEYS?|DSN)(_|$)", re.IGNORECASE
)

_hidden: Set[str] = set()


def register_secret(secret: str) -> None:
    """Keeps a value out of whatever text follows."""
    _hidden.add(secret)


def forget_secrets() -> None:
    """What was kept out of the texts of an earlier command."""
    _hidden.clear()


def without_credentials(value: object) -> str:
    """A host or a name of a database; of a URL what is no credential."""
    text = str(value or "")
    return CREDENTIALS_IN_URL.sub(mask, text).split("?")[0] if "://" in text else text


def scrubbed(text: str) -> str:
    """The text without secrets; if they cannot be told, no text."""
    try:
        return scrub(text)
    except Exception as error:
        return "(left out, as its secrets could not be taken out: %s)" % type(error).__name__


def scrub(text: object) -> str:
    """The text without secrets."""
    clean = redact_row_values(str(text))
    for secret in sorted(secrets(), key=len, reverse=True):
        clean = clean.replace(secret, "***")
    return CREDENTIALS_IN_URL.sub(mask, clean)


def mask(found: Any) -> str:
    return "***@" if found.group().endswith("@") else "***"


def secrets() -> Set[str]:
    """Every value that must not be seen."""
    context = run_context()
    found = {os.environ.get(name, "") for name in context.get("secretEnv", [])} | _hidden
    found.add(os.environ.get(PASSWORD_VARIABLE, ""))
    found |= {value for name, value in possible_secrets() if SECRET_NAME.search(name)}
    if context.get("wholeSecrets"):
        known = set(context.get("plainEnv", [])) | {RUN_CONTEXT_VARIABLE}
        found |= {value for name, value in possible_secrets() if name not in known}
    settings = _settings()
    if settings is not None:
        try:
            keys = [settings.SECRET_KEY]  # Django refuses to hand out an empty one
        except Exception:
            keys = []
        for key in keys + list(getattr(settings, "SECRET_KEY_FALLBACKS", None) or []):
            found.add(key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key or ""))
        for database in (getattr(settings, "DATABASES", None) or {}).values():
            for options in (database, database.get("OPTIONS") or {}):
                found |= {str(options.get(name) or "") for name in PASSWORD_OPTIONS}
    return {value for value in found if value}


def possible_secrets() -> Iterable[Tuple[str, str]]:
    """Variables that may hold a secret, though nobody named them as such."""
    for name, value in os.environ.items():
        if (
            name != RUN_CONTEXT_VARIABLE
            and not KNOWN_PLAIN_VARIABLES.match(name)
            and len(value) >= SHORTEST_UNNAMED_SECRET
        ):
            yield name, value


def _settings() -> Any:
    """The project's settings, if they were loaded; asking must not load them."""
    module = sys.modules.get("django.conf")
    settings = getattr(module, "settings", None)
    return settings if settings is not None and settings.configured else None
