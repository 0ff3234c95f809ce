"""Nautobot's own settings; all that is one site's own comes from its environment."""

from nautobot.core.settings import *
from nautobot.core.settings_funcs import *

INSTALLATION_METRICS_ENABLED = False
STATIC_ROOT = "/srv/static/nautobot"
