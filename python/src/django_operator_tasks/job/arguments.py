"""What the operator gives the helper on its command line. Parses on Python 3.6."""

from argparse import ArgumentParser, Namespace
from typing import Dict, List, Sequence, Tuple

# Words that may look like anything, `--` among them, which argparse would take for its own.
WORDS = {"--container-command": "container_command", "--argument": "argument"}


def parse_arguments(argv: Sequence[str]) -> Tuple[Namespace, List[str]]:
    """How to start, and the command.

    `--container-command=WORD` is a word of what the project's own container runs, `--argument=WORD` one that comes
    before the command; both may stand there several times.
    """
    end = argv.index("--") if "--" in argv else len(argv)
    words: Dict[str, List[str]] = {name: [] for name in WORDS.values()}
    own = []
    for word in argv[:end]:
        name, equals, value = word.partition("=")
        if equals and name in WORDS:
            words[WORDS[name]].append(value)
        else:
            own.append(word)
    parser = ArgumentParser(prog="tasks", description="Runs a management command of a Django project.")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--discover", action="store_true", help="find out how the project starts")
    how.add_argument("--script", metavar="FILE", help="run FILE, such as manage.py")
    how.add_argument("--module", metavar="NAME", help="run the module, as python -m does")
    how.add_argument("--console", metavar="NAME", help="run the console script, under its own interpreter")
    parser.add_argument("--celery", action="store_true", help="carry out a command line of Celery")
    parser.add_argument(
        "--lengths", type=parse_lengths, default=(), metavar="N,...", help="several commands, of so many words each"
    )
    parser.add_argument(
        "--retries", type=int, default=0, metavar="N", help="how often one of several that fails is run again"
    )
    parser.add_argument("--first", type=int, default=1, metavar="N", help="the first of several that is to run")
    parser.add_argument("--settings", default="", metavar="MODULE", help="the settings module, where it is named")
    options = parser.parse_args(own)
    for option, found in words.items():
        setattr(options, option, found)
    command = list(argv[end + 1 :])
    if options.lengths and sum(options.lengths) != len(command):
        parser.error("--lengths are of %d words, and there are %d" % (sum(options.lengths), len(command)))
    if options.lengths and not 1 <= options.first <= len(options.lengths):
        parser.error("--first is %d, and there are %d commands" % (options.first, len(options.lengths)))
    return options, command


def parse_lengths(text: str) -> List[int]:
    """How many words each command has."""
    lengths = [int(number) for number in text.split(",")]
    if min(lengths) < 1:
        raise ValueError(text)
    return lengths
