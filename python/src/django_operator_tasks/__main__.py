"""What a Job runs: `python -m django_operator_tasks`, or the zip of this package. Parses on Python 3.6, to be
able to say what is missing."""

import sys

OLDEST = (3, 9)


def start() -> int:
    """Runs the command line; the exit code."""
    if sys.version_info < OLDEST:
        from .job.report import fail_early

        fail_early(
            "UnsupportedPython",
            "the image's Python is %d.%d; the tasks need %d.%d or newer" % (sys.version_info[:2] + OLDEST),
        )
    from .job.runner import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
