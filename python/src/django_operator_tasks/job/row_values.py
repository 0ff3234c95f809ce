"""Takes the content of rows out of what database servers say. Parses on Python 3.6.

Where a driver has a server's words in fields, or its code, those tell which part is what, in whatever language. The
patterns are for words whose exception is not at hand.
"""

import re
from contextlib import suppress
from functools import lru_cache
from typing import Any, Iterable, List, Optional, Set, Tuple

from .renderings import renderings

LEFT_OUT = "(left out)"
# Of a server's words: these are enough to tell them by.
LONGEST_WORDS = 20_000
NEXT_ARGUMENT = re.compile(r"\\{0,2}['\"]?, ?")
# PostgreSQL's errors about a value, and about a statement's words.
QUOTING_SQLSTATES = ("22", "42601")
QUOTES = '"\u00ab\u00bb\u201c\u201d\u201e\u300c\u300d'
# What PostgreSQL says of a value that it cannot take: in English, German, French, Spanish, Russian and Japanese.
WORDS = (
    r"[Ss]yntax|[Ii]nvalid|malformed|out of range|tsquery|literal"
    r"|ung\u00fcltig|fehlerhaft|au\u00dferhalb|[Ww]ert"
    r"|mal form|valeur|litt\u00e9ral|hors "
    r"|sintaxis|v\u00e1lid|valor|fuera "
    r"|\u0441\u0438\u043d\u0442\u0430\u043a\u0441|\u043e\u0448\u0438\u0431|\u043d\u0435\u0432\u0435\u0440\u043d"
    r"|\u0432\u043d\u0435 |\u69cb\u6587|\u4e0d\u6b63|\u7bc4\u56f2|\u8aa4\u3063\u3066|\u30ea\u30c6\u30e9\u30eb"
)
QUOTED = re.compile("[%s].*[%s]" % (QUOTES, QUOTES), re.DOTALL)
TRAILING_VALUE = re.compile(r":\s+(?!\(left out\)).+", re.DOTALL)
# MySQL's errors that quote a value or a statement: duplicates, parsing, conversion, ranges, partitions.
QUOTING_MYSQL_CODES = {
    *(1062, 1064, 1149, 1292, 1300, 1366, 1367, 1411, 1416, 1525, 1526, 1557, 1569, 1586, 1690, 1761, 1762, 1859, 1918),
    3854,
}
APOSTROPHES = re.compile(r"['\u2018\u201e\"\u00ab].*['\u2019\u201c\"\u00bb]", re.DOTALL)
LAST_NAME = re.compile(r"'([\w.$-]{1,130})'\s*$")
NUMBERED = re.compile(r"\b(1\d{3}|3854)(?:(, )(?=['\"])| \([0-9A-Z]{5}\): )")
DUPLICATE_CODES = {1062, 1569, 1586, 1859}

# What PostgreSQL's library puts before the parts of an error; also as `repr` writes it.
LABEL = re.compile(
    r"(?:^|\n|\\n)[ \t]{0,8}(DETAIL|HINT|CONTEXT|QUERY|STATEMENT|WHERE|LOCATION|LINE \d{1,9}):(?=\s|\\t)"
)
FLAGS = re.DOTALL | re.MULTILINE
HARMLESS_LABELS = ("HINT", "LOCATION")
PATTERNS = (
    # PostgreSQL
    r"(\)=)\((?!left out\)).*?\)(?=[^)]*(?:\Z|\n|\\n))",
    r"(Failing row contains )\(.*\)",
    # What it quotes at the end of a line, after a colon or a word of its own, in the signs of several languages.
    r"(WORD[^\n]{0,120}?[:\uff1a]\s{0,2}|at or near )QUOTE.*?QUOTE(?=['\")]{0,3}\s*(?:$|\\n))",
    r"(invalid (?:input )?(?:syntax|value|byte sequence)[^:\n]{1,80}: )[^\"(\n][^\n]*?(?=$|\\n)",
    r"(\bvalue )\".*\"(?= is out of range)",
    # MySQL, MariaDB
    r"(Duplicate entry )\\?'.*'(?= for key)",
    r"([Ii]ncorrect [\w ]{1,40} value: )\\?['\"].*['\"](?= for (?:column|function))",
    r"([Ii]ncorrect [\w ]{1,40} value: )\\?['\"].*['\"]",
    r"(Invalid [\w ]{1,40} string: )\\?['\"].*['\"]",
    r"(right syntax to use near )\\?'.*'(?= at line)",
    r"(value is out of range in )\\?'.*'",
    r"(no partition for value )(?!\(left out\)).*",
    # SQL Server
    r"(duplicate key value is )\(.*\)",
    r"(Truncated value: )\\?'.*'",
    r"(Conversion failed when converting the [\w ]{1,40} value )\\?'.*'(?= to )",
    r"(Conversion failed when converting the [\w ]{1,40} value )\\?'.*'",
    r"(The conversion of the [\w ]{1,40} value )\\?'.*'(?= overflowed)",
    # Oracle
    r"((?:with|on) column values )\(.*\)",
    r"(\(ORA-\d{5} details\) [a-z ]{1,60}: ).*?(?=(?:\n|\\n)(?:Help: https://docs\.oracle\.com/|ORA-\d{5}: )|\Z)",
    r"(string value containing )\\?['\"].*['\"](?= to )",
    # PostgreSQL's library, Python's and requests: parts of a URL that cannot be read
    r"(invalid integer value )\".*\"(?= for connection option)",
    r"(missing \"=\" after )\".*\"(?= in connection info string)",
    r"(Port could not be cast to integer value as )\\?['\"].*?['\"](?=[\s.,;:)\]}'\"\\]|\Z)",
    r"(Port could not be cast to integer value as )\\?['\"].*['\"]",
    r"(Failed to parse: Host )\\?['\"].*['\"](?= contains invalid)",
    # Pydantic
    r"(input_value=).*?(?=, input_type=)",
    # Django: what a field of a fixture or of a row held
    r"(expected a number but got )\\?['\"].*['\"]",
    r"(Value )\\?['\"].*['\"](?= is not a valid choice)",
    r"(contains a value )\\?['\"].*['\"](?= that does not)",
    r"(field_value was )\\?['\"].*['\"]",
    r"(referenced through (?:protected|restricted) foreign keys: [^{]{1,2000}, )\{.*\}",
    r"()\u201c[^\u201d]*\u201d(?= (?:value|is not a|has an? (?:invalid|correct)|must be|string))",
)


def opening(pattern: str) -> str:
    """What of a pattern comes before the content: its first group."""
    depth = 0
    for at, character in enumerate(pattern):
        if character in "()" and pattern[at - 1 : at] != "\\":
            depth += 1 if character == "(" else -1
            if depth == 0:
                return pattern[: at + 1]
    return ""


@lru_cache(maxsize=2)
def compiled_patterns(*, unfinished: bool) -> List[Any]:
    """Made where they are needed, as few runs fail.

    :param unfinished: those of a text that was cut before the content's end.
    """
    sources = [pattern.replace("QUOTE", "[%s]" % QUOTES).replace("WORD", "(?:%s)" % WORDS) for pattern in PATTERNS]
    if unfinished:
        content = r"(?!\(left out\))\\?[%s'({\[].*\Z" % QUOTES
        sources = [opening(source) + content for source in sources if not source.startswith("()")]
    return [re.compile(source, FLAGS) for source in sources]


def redact_row_values(text: str, *, was_cut: bool = False) -> str:
    """The text without the content of rows, as far as the words of the known servers tell where it stands. It takes
    time that grows with the square of the length: for texts that have a bound."""
    text = redact_numbered(redact_sections(text))
    patterns = compiled_patterns(unfinished=False) + (compiled_patterns(unfinished=True) if was_cut else [])
    for pattern in patterns:
        text = pattern.sub(r"\1" + LEFT_OUT, text)
    return text


def redact_numbered(text: str) -> str:
    """Leaves out what a server of MySQL's quotes, by the number that stands before its words in any language."""
    found = NUMBERED.search(text)
    while found:
        code = int(found.group(1))
        if code in QUOTING_MYSQL_CODES:
            begin = found.end()
            quote = text[begin] if found.group(2) and text[begin : begin + 1] in ("'", '"') else ""
            end = text.rfind(quote) if quote and text.rfind(quote) > begin else len(text)
            clean = redact_mysql(code, text[begin + len(quote) : end])
            return text[:begin] + quote + clean + text[end:]
        found = NUMBERED.search(text, found.end())
    return text


def redact_sections(text: str) -> str:
    """Leaves out the parts of PostgreSQL's errors that quote the statement or the row."""
    parts: List[str] = []
    end = 0
    labels = list(LABEL.finditer(text))
    for label, following in zip(labels, [*labels[1:], None]):
        stop = following.start() if following else len(text)
        if label.group(1) in HARMLESS_LABELS or text[label.end() : stop].lstrip().startswith(LEFT_OUT):
            continue
        parts += [text[end : label.end()], " ", LEFT_OUT]
        end = stop
    return "".join([*parts, text[end:]])


def redact_known_errors(text: str, error: BaseException) -> str:
    """The text without what the fields and codes of the exception, or of those that led to it, tell to be of a row."""
    for link in exception_chain(error):
        with suppress(Exception):  # one that fails at its own fields tells nothing that could be compared
            for words, clean in known_words(link):
                text = replace_words(text, words, clean)
            text = without_objects(text, link)
    return text


def replace_words(text: str, words: str, clean: str) -> str:
    """The text with other words in place of these; with what follows them where they are too long to be compared."""
    for rendering in renderings(words[:LONGEST_WORDS]):
        if len(words) <= LONGEST_WORDS:
            text = text.replace(rendering, clean)
        elif rendering in text:
            text = text[: text.index(rendering)] + clean
    return text


def without_objects(text: str, error: Any) -> str:
    """The text without the rows that Django's errors about references hold, and show with their words."""
    if not (getattr(error, "protected_objects", None) or getattr(error, "restricted_objects", None)):
        return text
    for rendering in renderings(str(error.args[0])):
        for found in re.finditer(re.escape(rendering), text):
            if NEXT_ARGUMENT.match(text, found.end()):
                text = text[: found.end()] + ", " + LEFT_OUT
                break
    return text


def known_words(error: Any) -> Iterable[Tuple[str, str]]:
    """What a driver's exception may be quoted with, and what may be said instead."""
    diag = getattr(error, "diag", None)
    if diag is not None:  # psycopg
        words = str(error).strip()
        if words and getattr(diag, "message_primary", None):
            yield (
                words,
                redact_fields(
                    str(diag.message_primary),
                    str(getattr(diag, "sqlstate", None) or ""),
                    getattr(diag, "message_detail", None),
                    getattr(diag, "message_hint", None),
                ),
            )
        for field in ("message_detail", "context", "internal_query"):
            if getattr(diag, field, None):
                yield str(getattr(diag, field)), LEFT_OUT
    arguments: Any = getattr(error, "args", ())
    if [type(each) for each in arguments[:2]] == [int, str] and arguments[0] in QUOTING_MYSQL_CODES:
        yield arguments[1], redact_mysql(arguments[0], arguments[1])


def redact_fields(primary: str, sqlstate: str, detail: Optional[str], hint: Optional[str]) -> str:
    """What went wrong at PostgreSQL, and what to do about it; not where, which quotes the statement and the row."""
    if sqlstate.startswith(QUOTING_SQLSTATES):
        primary = TRAILING_VALUE.sub(": " + LEFT_OUT, QUOTED.sub(LEFT_OUT, primary))
    parts = [("DETAIL", LEFT_OUT if detail else ""), ("HINT", hint)]
    return "\n".join([primary, *("%s:  %s" % part for part in parts if part[1])])


def redact_mysql(code: int, words: str) -> str:
    """A server's words without what stands in quotes; of a duplicate the key's name stays, which comes last."""
    key = LAST_NAME.search(words) if code in DUPLICATE_CODES else None
    if key:
        return APOSTROPHES.sub(LEFT_OUT, words[: key.start()]) + key.group()
    clean = APOSTROPHES.sub(LEFT_OUT, words)
    return re.sub(r"(for value ).*", r"\1" + LEFT_OUT, clean, flags=re.DOTALL) if code == 1526 else clean


def exception_chain(error: BaseException) -> Iterable[Any]:
    """The exception, and those that led to it."""
    waiting: List[Any] = [error]
    seen: Set[int] = set()
    while waiting:
        link = waiting.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inside = None
        with suppress(Exception):  # it may be a property of the project's own
            inside = getattr(link, "exceptions", None)
        inside = inside if isinstance(inside, (list, tuple)) else ()
        waiting += [link.__cause__, link.__context__, *(each for each in inside if isinstance(each, BaseException))]
