"""What the operator tells the command about its pod. Parses on Python 3.6."""

import json
import os
from typing import Any, Dict

RUN_CONTEXT_VARIABLE = "DJANGO_OPERATOR_RUN"


def run_context() -> Dict[str, Any]:
    """What the operator knows of this pod; empty where it says nothing."""
    try:
        context = json.loads(os.environ.get(RUN_CONTEXT_VARIABLE) or "{}")
    except ValueError:
        context = {}
    return context if isinstance(context, dict) else {}
