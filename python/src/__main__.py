"""Where Python starts when it runs the zip. Parses on Python 3.6."""

import sys

from django_operator_tasks.__main__ import start

if __name__ == "__main__":
    sys.exit(start())
