"""What the operator tells the command about its pod. Parses on Python 3.6."""

import json
import os
from typing import Any, Dict

RUN_VARIABLE = "DJANGO_OPERATOR_RUN"


def run_facts() -> Dict[str, Any]:
    """What the operator knows of this pod; empty outside of a Job."""
    try:
        facts = json.loads(os.environ.get(RUN_VARIABLE) or "{}")
    except ValueError:
        facts = {}
    return facts if isinstance(facts, dict) else {}
