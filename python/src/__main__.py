"""Where Python starts when it runs the zip. Parses on Python 3.6, to be able to say what is missing."""

import sys

if sys.version_info < (3, 8):
    from django_operator_tasks.report import fail_early

    fail_early(
        "UnsupportedPython",
        "the image's Python is %d.%d; the tasks need 3.8 or newer" % sys.version_info[:2],
    )

from django_operator_tasks.runner import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
