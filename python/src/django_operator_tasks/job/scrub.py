"""Takes secrets out of free text: by their values, which are known, and by what stands where secrets stand. Parses on
Python 3.6.
"""

import os
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, FrozenSet, Iterable, Iterator, List, Tuple

from .failure import UNREADABLE
from .registered_secrets import SHORTEST_PART, registered_secrets
from .run_context import RUN_CONTEXT_VARIABLE, run_context

if TYPE_CHECKING:
    from .shortened import Remnants

# What is needed only for a text, and so by few runs before their end, is imported there: the zip has no compiled
# files, and every start of a Job would wait for it.
MASK = "***"
# What comes first of a text says what it is about. Values are looked for in the first of these, patterns in the second.
LONGEST_TEXT = 200_000
LONGEST_RESULT = 8_000
# A value that is no longer than this is a word that may stand anywhere, so it counts as a secret only as a whole word.
LONGEST_WORD = 5
SHORTEST_NAMED = 3
PASSWORD_VARIABLE = "DJANGO_ADMIN_PASSWORD"  # noqa: S105 - its name
# Variables whose names say that they are secret, and those of Django's own list of settings that its debug page hides.
SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|SIGNATURE|CREDENTIAL|API_?KEY|PASS$|(^|_)(PASS|PW|PWD|KEYS?|DSN|AUTH)(_|$)",
    re.IGNORECASE,
)
HIDDEN_SETTING = re.compile(r"TOKEN|KEY|SECRET|PASS|SIGNATURE|CREDENTIAL|DSN", re.IGNORECASE)
# Variables that images and Kubernetes set themselves, with the only values that they set.
WORDS_OF_IMAGES = re.compile(
    r"^(PATH|HOME|HOSTNAME|PWD|OLDPWD|LANG|LANGUAGE|LC_[A-Z]+|TZ|TERM|SHLVL|USER|_|DJANGO_SETTINGS_MODULE|VIRTUAL_ENV"
    r"|PYTHON(UNBUFFERED|PATH|HOME|HASHSEED|IOENCODING|UTF8|OPTIMIZE|DONTWRITEBYTECODE|FAULTHANDLER|WARNINGS|NOUSERSITE"
    r"|PYCACHEPREFIX|_VERSION|_PIP_VERSION|_SHA256|_GET_PIP_URL|_GET_PIP_SHA256|_SETUPTOOLS_VERSION))$"
)
SERVICE_LINK = re.compile(r"^[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$")
SERVICE_VALUE = re.compile(r"^((tcp|udp|sctp)://)?[0-9a-fA-F.:\[\]]*$|^(tcp|udp|sctp)$")
FINGERPRINT = re.compile(r"^[0-9A-F]{40}$")  # GPG_KEY of Python's images

SCHEME = re.compile(r"://")
URL_BREAK = re.compile(r"[\s'\"<>`]")
URL_USER = re.compile(r"[^\s'\"<>`/\[]{0,200}:(?!\d{1,5}(?!\S))[^\s/]")
URL_PASSWORD_WITH_SPACES = re.compile(r"[^\n'\"<>]{1,200}?@(?=[\w\[])")
PARAMETER = re.compile(
    r"(?i)((?:password|passwd|passphrase|pwd|secret|token|(?:api|access|secret|private)[_-]?key|credentials?|signature"
    r"|_pass|(?<=['\"])pass|(?<=[?&;])(?:sig|key|code|auth|pass))['\"]?\s{0,3}[=:]\s{0,3}(?<=[=:'\"\s]))"
    r"('(?:[^'\\\n]|\\.)+(?:'|$)|\"(?:[^\"\\\n]|\\.)+(?:\"|$)|(?<==)\{(?:[^}\n]|\}\})+(?:\}|$)"
    r"|(?<==)[^\s&;,'\")\]}]+)"
)
HEADER = re.compile(r"(?i)\b(x-[\w-]{0,40}(?:key|token|secret)[\w-]{0,40}\s{0,3}:\s{0,3})[^\s'\"]+")
AUTHORIZATION = re.compile(r"(?i)\b((?:basic|bearer|digest|token)\s{1,3})(?=[\w.~+/=-]{0,200}\d)[\w.~+/=-]{16,}")
PLAIN_VALUE = re.compile(r"^(?:[a-z_]+|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[a-z][a-z0-9+.-]*://[^@\s]*)$")
PASSWORD_OPTIONS = ("PASSWORD", "password", "passwd")


def without_credentials(value: object) -> str:
    """A host or a name of a database; of a URL or a connection string what is no credential."""
    text = str(value or "")
    clean = mask_parameters(mask_urls(text))
    return clean.split("?")[0] if "://" in text else clean


def scrubbed(text: object) -> str:
    """The text without secrets; if they cannot be told, no text."""
    try:
        return scrub(text)
    except Exception as error:
        return UNREADABLE % type(error).__name__


def scrub(text: object) -> str:
    """The text without secrets, and not longer than what is read of it."""
    from .row_values import redact_row_values
    from .shortened import mask_remnants

    whole = str(text)
    clean = whole[:LONGEST_TEXT]
    found, remnants = known_secrets()
    for secret in found:
        clean = mask_value(clean, secret)
    if len(whole) > LONGEST_TEXT and found:
        clean = clean[: -len(found[0])]  # where one may have been cut in two
    was_cut = len(clean) > LONGEST_RESULT
    clean = mask_remnants(clean[:LONGEST_RESULT], remnants, MASK)
    return mask_parameters(mask_urls(redact_row_values(clean, was_cut=was_cut)))


def mask_value(text: str, secret: str) -> str:
    """The text without this value."""
    if len(secret) > LONGEST_WORD:
        return text.replace(secret, MASK)
    if secret not in text:
        return text
    return re.sub(r"(?<!\w)%s(?!\w)" % re.escape(secret), MASK, text)


def mask_urls(text: str) -> str:
    """The text without the credentials of URLs, whatever characters they have."""
    pieces: List[str] = []
    begin = 0
    schemes = [match.end() for match in SCHEME.finditer(text)]
    for start, limit in zip(schemes, [*schemes[1:], len(text)]):
        end = URL_BREAK.search(text, start, limit)
        at = text.rfind("@", start, end.start() if end else limit)
        if at < 0 and URL_USER.match(text, start, limit):
            spaced = URL_PASSWORD_WITH_SPACES.match(text, start, limit)
            at = spaced.end() - 1 if spaced else -1
        if at >= 0:
            pieces += [text[begin:start], MASK]
            begin = at
    return "".join([*pieces, text[begin:]])


def mask_parameters(text: str) -> str:
    """The text without the values of what is called a password, a token and the like."""
    return AUTHORIZATION.sub(r"\1" + MASK, HEADER.sub(r"\1" + MASK, PARAMETER.sub(mask_parameter, text)))


def mask_parameter(found: Any) -> str:
    """The name of a parameter, and its quotes."""
    name, value = found.groups()
    quote = value[0] if value[0] in "'\"" else ""
    return "%s%s%s%s" % (name, quote, MASK, quote)


def known_secrets() -> "Tuple[List[str], Remnants]":
    """Every value that must not be seen, in all ways in which it is written, the longest first; and those of which
    parts may be left."""
    return render_secrets(frozenset(secret_values()))


@lru_cache(maxsize=1)
def render_secrets(values: FrozenSet[str]) -> "Tuple[List[str], Remnants]":
    """Made anew where the values are others: while something is waited for, each look is put into words."""
    from .renderings import leaves, parts, renderings
    from .shortened import Remnants

    whole = {text for value in values for part in set(parts(value)) for text in renderings(part)}
    remnants = {text for value in values for part in set(leaves(value)) for text in renderings(part)}
    known = [text for text in whole if text.strip() and text != MASK]
    return sorted(known, key=len, reverse=True), Remnants(remnants)


def secret_values() -> Iterator[str]:
    """The values themselves."""
    context = run_context()
    named = list(context.get("secretEnv", []))
    yield from (os.environ.get(name, "") for name in [*named, PASSWORD_VARIABLE])
    yield from registered_secrets()
    plain = set(context.get("plainEnv", []))
    for name, value in os.environ.items():
        if name == RUN_CONTEXT_VARIABLE or is_of_image(name, value):
            continue
        guessed = context.get("wholeSecrets") and name not in plain and len(value) >= SHORTEST_PART
        if guessed or (SECRET_NAME.search(name) and len(value) >= SHORTEST_NAMED):
            yield value
    settings = _settings()
    if settings is not None:
        yield from settings_secrets(settings)


def is_of_image(name: str, value: str) -> bool:
    """Whether a variable is one that Kubernetes or an image sets, and has such a value."""
    if WORDS_OF_IMAGES.match(name):
        return True
    if SERVICE_LINK.match(name):
        return bool(SERVICE_VALUE.match(value))
    return name == "GPG_KEY" and bool(FINGERPRINT.match(value))


def settings_secrets(settings: Any) -> Iterator[str]:
    """The settings that Django's own reporter hides, the passwords of databases, and credentials in any setting."""
    hidden = hidden_settings()
    for name, value in readable_settings(settings):
        if name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "EMAIL_HOST_PASSWORD"):
            yield from texts(value)
        elif name == "DATABASES":
            for database in (value or {}).values():
                for options in (database, database.get("OPTIONS") or {}):
                    yield from (str(options.get(option) or "") for option in PASSWORD_OPTIONS)
                yield from hidden_texts(database, hidden)
        elif not is_djangos(name) and hidden.search(name):
            yield from (text for text in texts(value) if may_be_secret(text))
        else:
            yield from hidden_texts(value, hidden)


def hidden_settings() -> Any:
    """The pattern of the names; a project may have one of its own."""
    views = sys.modules.get("django.views.debug")  # loaded where a project has a filter of its own
    try:
        own = views.get_default_exception_reporter_filter().hidden_settings.pattern if views else ""
        return re.compile("%s|%s" % (HIDDEN_SETTING.pattern, own) if own else HIDDEN_SETTING.pattern, re.IGNORECASE)
    except Exception:
        return HIDDEN_SETTING


def readable_settings(settings: Any) -> Iterator[Tuple[str, Any]]:
    """Names and values; without those that refuse to be read."""
    for name in dir(settings):
        if name.isupper():
            try:
                yield name, getattr(settings, name)
            except Exception:  # noqa: S112 - Django refuses to hand out an empty SECRET_KEY
                continue


def is_djangos(name: str) -> bool:
    """Whether a setting is Django's own, of which is known that it holds no secret."""
    defaults = sys.modules.get("django.conf.global_settings")
    return hasattr(defaults, name)


def hidden_texts(value: Any, hidden: Any, depth: int = 0) -> Iterator[str]:
    """What in a setting has a name that is to be hidden, or is a URL with credentials."""
    if isinstance(value, str):
        if "://" in value and "@" in value:
            from .renderings import parts

            yield from (part for part in parts(value) if part != value)
        return
    if depth > 5 or not isinstance(value, (dict, list, tuple, set)):
        return
    for key, inside in value.items() if isinstance(value, dict) else [("", each) for each in value]:
        own = isinstance(key, str) and hidden.search(key) and "FUNCTION" not in key and "PREFIX" not in key
        if own and not isinstance(inside, dict):
            yield from (text for text in texts(inside) if may_be_secret(text))
        else:
            yield from hidden_texts(inside, hidden, depth + 1)


def may_be_secret(text: str) -> bool:
    """Whether a setting with the name of a secret has a value of which one can think so: no word, no name of a class,
    no address without credentials."""
    return len(text) >= SHORTEST_PART and not PLAIN_VALUE.match(text)


def texts(value: Any) -> Iterable[str]:
    """The texts in a value."""
    if isinstance(value, bytes):
        return [value.decode("utf-8", "replace")]
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [text for each in value for text in texts(each)]
    return []


def _settings() -> Any:
    """The project's settings, if they were loaded; asking must not load them."""
    module = sys.modules.get("django.conf")
    settings = getattr(module, "settings", None)
    return settings if settings is not None and settings.configured else None
