"""What a database's error is about, by the codes of servers and drivers: their words come in many languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.db import DataError, Error, IntegrityError, InterfaceError, OperationalError

# SQLSTATEs that waiting does not mend: a refused login, a database that is not there, a missing right, an ODBC driver
# that is not there.
REFUSED_SQLSTATES = ("28", "3D000", "42501", "IM")
# MySQL's and MariaDB's: logins, hosts, databases, accounts, encryption and options that are refused whenever one tries.
REFUSED_MYSQL_CODES = {
    1044,
    1045,
    1049,
    1102,
    1129,
    1130,
    1251,
    1524,
    1698,
    1820,
    1862,
    2026,
    2049,
    2054,
    2058,
    2059,
    2061,
    3118,
    3159,
    4151,
    1115,
    1193,
    1227,
    1231,
    2000,
    2019,
}
# Oracle's of a listener whose database is not there yet, or has no room, which drivers do not count among those of the
# connection: unknown services, blocked and restricted instances, no handlers.
STARTING_ORACLE_CODES = {12505, 12514, 12516, 12518, 12519, 12520, 12526, 12527, 12528}
# Oracle's: a login, an account, a password, a right to connect.
REFUSED_ORACLE_CODES = ("ORA-01005", "ORA-01017", "ORA-01045", "ORA-28000", "ORA-28001", "ORA-28009")
# PostgreSQL's library gives no code to what fails before there is a session. Words of logins that are refused; where a
# server has others for them, they are waited for as for a server that starts, which ends as well.
REFUSED_WORDS = (
    "authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "does not exist",
    "permission denied",
    "is not permitted to log in",
    "is not currently accepting connections",
    "certificate verify failed",
    "does not support ssl",
    "invalid connection option",
    "invalid sslmode",
    'missing "=" after',
    "unable to open database file",
)
NO_CONNECTION_MYSQL_CODES = {2002, 2003}
LACKS_RIGHT_SQLSTATES = {"42501"}
LACKS_RIGHT_MYSQL_CODES = {1044, 1142, 1143, 1227, 1370}
LACKS_RIGHT_ORACLE_CODES = ("ORA-01031",)
# SQL Server's numbers, which ODBC puts after its words: one SQLSTATE means all that a statement may not do.
LACKS_RIGHT_SQL_SERVER = re.compile(r"\((?:229|230|262|297|300)\)(?: \(SQL\w+\))?\W*$")
# A table, a column, a schema, a type that is not there.
UNDEFINED_SQLSTATES = {"42P01", "42703", "3F000", "42704", "42S02", "42S22"}
OTHER_TYPE_SQLSTATES = {"42804", "42883"}  # a value's type, an operator or function for such types
UNDEFINED_MYSQL_CODES = {1054, 1146}
UNDEFINED_ORACLE_CODES = ("ORA-00904", "ORA-00942")
UNDEFINED_SQL_SERVER = re.compile(r"\((?:207|208)\)(?: \(SQL\w+\))?\W*$")
UNDEFINED_SQLITE = ("no such table", "no such column", "has no column named")
NO_DEFAULT_MYSQL_CODE = 1364  # a column of which the statement does not know, and which may not be empty
SQLSTATE = re.compile(r"(?=.*[0-9])[0-9A-Z]{5}")


def is_transient(error: BaseException) -> bool:
    """Whether a connection that failed may succeed when the server has started, has recovered or has room again."""
    oracle = oracle_error(error)
    recoverable = oracle is not None and (oracle.isrecoverable or oracle.code in STARTING_ORACLE_CODES)
    if not recoverable and not isinstance(error, (OperationalError, InterfaceError)):
        return False
    sqlstate = sqlstate_of(error)
    if sqlstate:
        return not sqlstate.startswith(REFUSED_SQLSTATES)
    number = number_of(error)
    if number is not None:
        return number not in REFUSED_MYSQL_CODES
    words = str(error).lower()
    return not any(refused in words for refused in REFUSED_WORDS + tuple(map(str.lower, REFUSED_ORACLE_CODES)))


def is_connection_refused(error: BaseException) -> bool:
    """Whether no server took the connection, as far as the error tells."""
    if not is_transient(error) or sqlstate_of(error)[:2] not in ("", "08") or "FATAL" in str(error):
        return False
    return number_of(error) in {None, *NO_CONNECTION_MYSQL_CODES}


def lacks_right(error: BaseException) -> bool:
    """Whether the server refuses what was asked for as its user has no right to it."""
    return (
        sqlstate_of(error) in LACKS_RIGHT_SQLSTATES
        or number_of(error) in LACKS_RIGHT_MYSQL_CODES
        or (isinstance(error, Error) and str(error).startswith(LACKS_RIGHT_ORACLE_CODES))
        or (sqlstate_of(error) == "42000" and LACKS_RIGHT_SQL_SERVER.search(str(error)) is not None)
    )


def is_undefined(error: BaseException, vendor: str) -> bool:
    """Whether a statement names a table or column that the database does not have."""
    if vendor == "sqlite":
        return any(words in str(error) for words in UNDEFINED_SQLITE)
    return (
        sqlstate_of(error) in UNDEFINED_SQLSTATES
        or number_of(error) in UNDEFINED_MYSQL_CODES
        or str(error).startswith(UNDEFINED_ORACLE_CODES)
        or (sqlstate_of(error) == "42000" and UNDEFINED_SQL_SERVER.search(str(error)) is not None)
    )


def is_of_another_type(error: BaseException) -> bool:
    """Whether a statement takes a column for one of another type than it has."""
    return sqlstate_of(error) in OTHER_TYPE_SQLSTATES


def is_refused_row(error: BaseException) -> bool:
    """Whether the database refuses a row: it may have a column, a constraint or a length that the code gave up."""
    return isinstance(error, (IntegrityError, DataError)) or number_of(error) == NO_DEFAULT_MYSQL_CODE


def sqlstate_of(error: BaseException) -> str:
    """The SQLSTATE that PostgreSQL's drivers give, and pyodbc."""
    for link in causes(error):
        for name in ("sqlstate", "pgcode"):
            code = getattr(link, name, None)
            if isinstance(code, str) and code:
                return code
        code = link.args[0] if len(link.args) > 1 else None
        if isinstance(code, str) and SQLSTATE.fullmatch(code) and str(link.args[1]).startswith(f"[{code}]"):
            return code
    return ""


def oracle_error(error: BaseException) -> Any:
    """What Oracle's driver says in fields; None of another's error."""
    for link in causes(error):
        if link.args and hasattr(link.args[0], "isrecoverable"):
            return link.args[0]
    return None


def number_of(error: BaseException) -> int | None:
    """The number that MySQL's drivers give."""
    for link in causes(error):
        if link.args and isinstance(link.args[0], int) and not isinstance(link.args[0], bool) and len(link.args) > 1:
            return link.args[0]
    return None


def causes(error: BaseException) -> Iterator[Any]:
    """The error, and the driver's behind it."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__
