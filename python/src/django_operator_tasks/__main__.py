"""What a Job runs: `python -m django_operator_tasks`, or the zip of this package. Parses on Python 3.6, to be
able to say what is missing."""

import sys

OLDEST = (3, 9)


def start() -> int:
    """Runs the command line; the exit code."""
    from .job.arguments import parse_arguments

    options, command = parse_arguments(sys.argv[1:])
    start = clues = None
    if options.discover:
        from .job.discovery.usual import usual_start

        start = None if options.celery else usual_start(options.container_command)
        if start is None:
            from .job.project import enter_project

            clues = enter_project(options)
    if sys.version_info < OLDEST:
        from .job.report import fail_early

        fail_early(
            "UnsupportedPython",
            "the image's Python is %d.%d; the tasks need %d.%d or newer" % (sys.version_info[:2] + OLDEST),
        )
    if options.lengths:
        from .job.steps import run_steps

        return run_steps(options, command, start, clues)
    from .job.runner import main

    return main(options, command, start, clues)


if __name__ == "__main__":
    sys.exit(start())
