"""How the project's own process starts Django, found without being told: from what the container's command starts, and
from what lies in the image."""
