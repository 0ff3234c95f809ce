"""The line in the termination log: bounded, whole, and without secrets."""

import json
import sys

import pytest
from conftest import SOURCE

sys.path.insert(0, str(SOURCE))

from django_operator_tasks.job import error_text, registered_secrets, report, scrub
from django_operator_tasks.job.run_context import RUN_CONTEXT_VARIABLE


@pytest.fixture
def facts(monkeypatch):
    def facts(**facts):
        monkeypatch.setenv(RUN_CONTEXT_VARIABLE, json.dumps(facts))

    return facts


def test_names_keep_both_ends():
    made = report.Report()
    made.record_success("applied", ["a.%04d" % n for n in range(100)])
    line = json.loads(made.line())
    assert line["count"] == 100
    assert line["names"] == ["a.%04d" % n for n in (0, 1, 2, 3, 4, 95, 96, 97, 98, 99)]


@pytest.mark.parametrize("piece", ["x", "ü", "\x00\x1b", "\ud800", '"\\'], ids=ascii)
def test_whatever_the_text_the_line_is_json_and_fits(piece):
    text = piece * 5_000
    made = report.Report()
    made.names = [text] * 10
    for failed in (False, True):
        if failed:
            made.record_failure(ValueError(text))
        line = made.line()
        assert len(line) <= report.LIMIT
        assert json.loads(line)["ok"] is not failed


def test_secrets_are_taken_out_of_free_text(facts, monkeypatch):
    monkeypatch.setenv("NAMED", "hunter2")
    monkeypatch.setenv("FROM_ELSEWHERE", "whole-secret")
    monkeypatch.setenv("SHORT", "ab")
    monkeypatch.setenv("KNOWN", "well-known")
    facts(secretEnv=["NAMED"], plainEnv=["KNOWN"], wholeSecrets=True)
    text = "hunter2 whole-secret ab well-known postgres://u:p@h/db\nDETAIL:  Key (email)=(a@b) exists."
    assert scrub.scrub(text) == "*** *** ab well-known postgres://***@h/db\nDETAIL: (left out)"
    facts(secretEnv=[], plainEnv=[], wholeSecrets=False)
    assert "whole-secret" in scrub.scrub(text)


def test_the_first_failure_counts_and_names_its_place():
    made = report.Report()
    try:
        raise ValueError("three rows too many")
    except ValueError as error:
        made.record_failure(error)
    made.record_failure(RuntimeError("only follows from it"))
    line = json.loads(made.line())
    assert line["reason"] == "CommandFailed"
    assert line["message"].startswith("ValueError: three rows too many (test_report.py:")


def test_nothing_is_written_where_there_is_no_termination_log(tmp_path, facts):
    facts(secretEnv=[])
    made = report.Report()
    made.write(str(tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()
    log = tmp_path / "log"
    log.touch()
    made.write(str(log))
    assert json.loads(log.read_text())["ok"] is True


def test_settings_that_refuse_to_be_read_do_not_hide_what_failed(monkeypatch):
    class Settings:
        DATABASES = {"default": {"PASSWORD": "pw-1"}}

        @property
        def SECRET_KEY(self):
            raise RuntimeError("must not be empty")

    monkeypatch.setattr(scrub, "_settings", Settings)
    made = report.Report()
    made.record_failure(ValueError("pw-1 is wrong"))
    assert json.loads(made.line())["message"] == "ValueError: *** is wrong"
    monkeypatch.setattr(scrub, "_settings", lambda: type("S", (), {"SECRET_KEY": b"key-1", "DATABASES": None}))
    assert scrub.scrubbed("key-1") == "***"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("redis://:p@ssw0rd@redis:6379/0 is gone", "redis://***@redis:6379/0 is gone"),
        ("amqp://u:pa/ss@mq// is gone", "amqp://***@mq// is gone"),
        ("see https://example.com/x", "see https://example.com/x"),
    ],
)
def test_whatever_a_password_in_a_url_holds(text, clean):
    assert scrub.scrub(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("dup\nDETAIL:  Key (a)=(b\nc) exists.\nHINT:  x", "dup\nDETAIL: (left out)\nHINT:  x"),
        ("Duplicate entry 'it's' for key 'a.b'", "Duplicate entry (left out) for key 'a.b'"),
        (
            "Incorrect integer value: 'x' for column 'y' at row 1",
            "Incorrect integer value: (left out) for column 'y' at row 1",
        ),
        (
            'invalid input syntax for type integer: "x\ny"\nLINE 1: z',
            "invalid input syntax for type integer: (left out)\nLINE 1: (left out)",
        ),
        ("no column \"a\"\nLINE 1: set a = 'Bob'\n        ^", 'no column "a"\nLINE 1: (left out)'),
        ("json\nCONTEXT:  JSON data, line 1: Bob\nand more", "json\nCONTEXT: (left out)"),
        ('value "99 of Bob" is out of range for type integer', "value (left out) is out of range for type integer"),
        ('date/time field value out of range: "1984"', "date/time field value out of range: (left out)"),
        ('malformed array literal: "{Bob"', "malformed array literal: (left out)"),
        (
            "Incorrect date value: 'x' for function str_to_date",
            "Incorrect date value: (left out) for function str_to_date",
        ),
        ("right syntax to use near ''Bob' x' at line 1", "right syntax to use near (left out) at line 1"),
        ("value is out of range in '(`a` - 7)'", "value is out of range in (left out)"),
        ("Table has no partition for value 1120", "Table has no partition for value (left out)"),
        ('syntax error at or near "Brien"', "syntax error at or near (left out)"),
        ('syntax error in tsquery: "Bob 078"', "syntax error in tsquery: (left out)"),
    ],
)
def test_what_a_server_says_of_a_rows_content(text, clean):
    assert scrub.scrub(text) == clean
    assert scrub.scrub(clean) == clean


@pytest.mark.parametrize(
    "text", ["Truncated incorrect INTEGER value: '{\"ssn\": 7}'", "Truncated incorrect DOUBLE value: 'it's'"]
)
def test_a_tuple_in_words(text):
    assert scrub.scrub(str((1292, text))).startswith("(1292, %s" % repr(text)[:9])
    assert "ssn" not in scrub.scrub(str((1292, text))) and "it's" not in scrub.scrub(str((1292, text)))


def test_a_database_whose_host_is_a_url():
    made = report.Report()
    url = "mongodb+srv://app:s3cret@cluster0.example.net/shop?authSource=admin&password=hunter2"
    made.add_database(
        type(
            "C", (), {"vendor": "y", "alias": "default", "settings_dict": {"ENGINE": "x.y", "HOST": url, "NAME": "a@b"}}
        )
    )
    assert json.loads(made.line())["databases"] == [
        {"alias": "default", "engine": "y", "host": "mongodb+srv://***@cluster0.example.net/shop", "name": "a@b"}
    ]
    assert scrub.scrub("see https://h/x?user=a&password=hunter2&y") == "see https://h/x?user=a&password=***&y"


def test_a_password_among_the_options_of_a_database(monkeypatch):
    settings = type("S", (), {"SECRET_KEY": "key-1", "DATABASES": {"a": {"OPTIONS": {"passwd": "pw-1"}}, "b": {}}})
    monkeypatch.setattr(scrub, "_settings", lambda: settings)
    assert scrub.scrub("pw-1 is wrong") == "*** is wrong"


@pytest.mark.parametrize("linked", [True, False])
def test_a_server_that_says_which_part_is_what(linked):
    """In whatever language; what it quotes of the statement and of the row is left out."""

    class Data(Exception):
        said = "ungültige Eingabesyntax für Typ uuid: »Bob »078«"
        diag = type("D", (), {"message_primary": said, "sqlstate": "22P02", "message_hint": "Tipp"})

    try:
        try:
            raise Data(Data.said + "\nZEILE 1: set a = 'Bob'\nTIPP: Tipp")
        except Data as error:
            raise ValueError("no: %s" % error) from (error if linked else None)
    except ValueError as error:
        said = error_text.describe(error)
    assert said.startswith(
        "ValueError: no: ungültige Eingabesyntax für Typ uuid: (left out)\nHINT:  Tipp (test_report.py:"
    )


def test_whatever_a_server_calls_its_detail():
    class Detailed(Exception):
        diag = type("Diag", (), {"message_detail": "Schlüssel (a)=(b\nc) existiert"})

    try:
        try:
            raise Detailed("doppelt\nDETALLE:  Schlüssel (a)=(b\nc) existiert\nHINT: h")
        except Detailed as error:
            raise ValueError(str(error)) from error
    except ValueError as error:
        said = error_text.describe(error)
    assert said.startswith("ValueError: doppelt\nDETALLE:  (left out)\nHINT: h (test_report.py:")


@pytest.mark.parametrize("name", ["STRIPE_API_KEY", "db_password", "TOKEN", "SENTRY_DSN", "PGPASSWORD", "KEYS"])
def test_a_variable_whose_name_says_so_is_secret(monkeypatch, name):
    monkeypatch.setenv(name, "something-of-ours")
    monkeypatch.setenv("MONKEY", "no secret at all")
    fingerprint = "7169605F62C751356D054A26A821E680E5FA6305"  # as the images of Python have one
    monkeypatch.setenv("GPG_KEY", fingerprint)
    assert scrub.scrub("something-of-ours, no secret at all, " + fingerprint) == "***, no secret at all, " + fingerprint


def test_former_keys_are_secret_as_well(monkeypatch):
    settings = type("S", (), {"SECRET_KEY": "key-1", "SECRET_KEY_FALLBACKS": ["key-0", b"key-00"], "DATABASES": {}})
    monkeypatch.setattr(scrub, "_settings", lambda: settings)
    assert scrub.scrub("key-1 key-0 key-00") == "*** *** ***"


def test_a_command_forgets_the_secrets_of_the_one_before():
    registered_secrets.register_secret("e")
    assert scrub.scrub("here is an e") == "here is an ***"
    report.reset()
    assert scrub.scrub("here is an e") == "here is an e"
