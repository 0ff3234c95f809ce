"""Carries out a command line of Celery's, and says what it did where Celery itself is silent: which queue
held how many messages, which queue nobody knows, which workers replied."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from . import report
from .failure import TaskFailure

REPLY_SECONDS = 2.0
ATTEMPTS = 3
NOT_FOUND = 404
# Stands behind the name of a worker in the report.
NO_REPLY = " (no reply: busy, or gone)"


def run(argv: Sequence[str]) -> None:
    """Understands what the operator writes: `-A APP purge -f [-Q QUEUE]`, `-A APP control revoke ID` and
    `-A APP control terminate SIGNAL ID`."""
    parser = ArgumentParser(prog="celery")
    parser.add_argument("-A", dest="app", required=True)
    verbs = parser.add_subparsers(dest="verb", required=True)
    purge_parser = verbs.add_parser("purge")
    purge_parser.add_argument("-f", dest="force", action="store_true")
    purge_parser.add_argument("-Q", dest="queue")
    control_parser = verbs.add_parser("control")
    control_parser.add_argument("action", choices=["revoke", "terminate"])
    control_parser.add_argument("arguments", nargs="+")
    options = parser.parse_args(argv)
    try:
        from celery.app.utils import find_app
    except ImportError as error:
        raise TaskFailure(
            "CeleryNotInstalled", f"{sys.executable}, which runs the project, has no Celery: {error}"
        ) from error
    app = find_app(options.app)
    if options.verb == "purge":
        purge(app, [options.queue] if options.queue else None)
    elif options.action == "revoke":
        broadcast(app, "revoke", {"task_id": options.arguments[0]}, "revoked")
    else:
        signal, task = options.arguments
        broadcast(app, "terminate", {"signal": signal, "task_id": task}, "terminated")


def purge(app: Any, queues: Sequence[str] | None) -> None:
    """Empties the queues, by default all that the application's configuration names."""
    names = sorted(queues if queues else app.amqp.queues)
    counts = {}
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=3)
        for name in names:
            if queues and not queue_exists(app, connection, name):
                raise TaskFailure(
                    "UnknownQueue",
                    "the broker knows no queue %r and no worker consumes it; is spec.worker the name of a queue?"
                    % name,
                )
        for name in names:
            channel = connection.channel()
            try:
                counts[name] = channel.queue_purge(name) or 0
            except connection.channel_errors as error:
                if not is_not_found(error):
                    raise
                counts[name] = 0  # configured, but not declared yet
            finally:
                channel.close()
    described = ["%s: %d" % item for item in counts.items()]
    report.current.record_success("purged", described, count=sum(counts.values()))
    report.say("Purged " + ", ".join(described))


def queue_exists(app: Any, connection: Any, queue: str) -> bool:
    """Whether the queue exists: for the broker, in the configuration, or for a worker."""
    if app.conf.task_queues and queue in {q.name for q in app.conf.task_queues}:
        return True
    if queue == app.conf.task_default_queue:
        return True
    channel = connection.channel()
    try:
        channel.queue_declare(queue, passive=True)
        return True
    except connection.channel_errors as error:
        if not is_not_found(error):
            raise
        # Some brokers know a queue only while it holds something; a worker may know more.
    finally:
        try:
            channel.close()
        except connection.connection_errors + connection.channel_errors:
            pass
    consumed = app.control.inspect(timeout=REPLY_SECONDS).active_queues() or {}
    return any(q.get("name") == queue for queues in consumed.values() for q in queues)


def is_not_found(error: BaseException) -> bool:
    """Whether a broker says that there is no such queue, rather than that nobody may touch it. One without codes
    says no more than the first."""
    codes = [getattr(error, name, None) for name in ("reply_code", "code")]
    return NOT_FOUND in codes or not any(isinstance(code, int) and code for code in codes)


def broadcast(app: Any, method: str, arguments: dict[str, str], done: str) -> None:
    """Sends a command to all workers, and again if none replies: they may be busy, and it does no harm."""
    listening = listening_workers(app)
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=3)  # a broker that is away ends it, and not the Job's deadline
        for _ in range(ATTEMPTS):
            replies = app.control.broadcast(
                method, arguments=arguments, reply=True, timeout=REPLY_SECONDS, connection=connection
            )
            if replies:
                break
        else:
            raise TaskFailure(
                "NoWorkerReplied",
                "no worker replied within %d s%s; a worker that starts later will not know of it"
                % (ATTEMPTS * REPLY_SECONDS, ", not even " + ", ".join(sorted(listening)) if listening else ""),
            )
    answers = {worker: answer for reply in replies for worker, answer in reply.items()}
    errors = ["%s: %s" % (worker, answer["error"]) for worker, answer in answers.items() if "error" in answer]
    if errors:
        raise TaskFailure("CommandFailed", "; ".join(errors))
    silent = [worker for worker in listening if worker not in answers]
    if method == "terminate" and all("unknown" in str(answer.get("ok", "")) for answer in answers.values()):
        done = "revoked"  # no worker that replied runs it, and none will start it any more
    names = sorted(answers) + [worker + NO_REPLY for worker in sorted(silent)]
    report.current.record_success(done, names, count=len(answers))
    report.say("%s by %s" % (done, ", ".join(names)))


def listening_workers(app: Any) -> list[str]:
    """The workers that commands are sent to, as far as the broker tells: Redis and its like know their mailboxes. A
    worker that runs one task at a time does not reply until it is done."""
    mailbox = ".%s.pidbox" % app.control.mailbox.namespace
    try:
        with app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=3)
            bindings = connection.default_channel.get_table(app.control.mailbox.exchange.name)
    except Exception:  # not every transport has such a table
        return []
    queues = {str(binding[2]) for binding in bindings if len(binding) > 2}
    return [queue[: -len(mailbox)] for queue in queues if queue.endswith(mailbox)]
