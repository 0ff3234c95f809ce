"""A proxy between the operator and the API server that answers as networks, proxies and API servers do on their worst
day: at the calls that a plan chooses, in one of the ways below."""

import http.client
import json
import re
import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

# Faults of a call that is not a watch. Those before the bar reach no API server, those after it do.
UNDONE = ("before", "lose-request", "hang", "429", "500", "502-html", "403-html", "404-html")
DONE = ("after", "lose-reply", "504-after", "late")
# Faults of a watch: at its start, and in its stream.
START = ("lose-request", "hang", "410", "429", "500", "403-html")
STREAM = ("silent", "short")
# Of a watch in which something happens.
EVENTS = ("410-stream", "stale-list", "cut", "missed", "twice", "old")
# The operator dies with these.
CRASHES = ("before", "after")
# Longer than the operator waits for an answer.
LATE = 22

HTML = b"<html><head><title>Sorry</title></head><body><h1>Something went wrong</h1></body></html>"


@dataclass(frozen=True)
class Call:
    """One request of the operator's: what it is, and how many of its kind came before."""

    name: str
    nth: int

    @property
    def verb(self):
        return self.name.split()[0]

    @property
    def is_write(self):
        return self.verb in ("POST", "PUT", "PATCH", "DELETE")


def call_name(method, url):
    """A request in words, such as `PUT djangomigrates/status` or `WATCH jobs`; None for leases, and for events that
    are told, which nothing waits for."""
    parts = urlsplit(url)
    path = parts.path.strip("/").split("/")
    if "leases" in path or ("events" in path and method != "GET"):
        return None
    after = path[path.index("namespaces") + 2 :] if "namespaces" in path else path[-1:]
    resource = after[0] + ("/status" if after[-1] == "status" else "")
    if method != "GET":
        return "%s %s" % (method, resource)
    if len(after) > 1:
        return "GET " + resource
    query = parse_qs(parts.query)
    if "watch" in query:
        return "WATCH " + resource
    return ("NEXT " if "continue" in query else "LIST ") + resource


# One for all connections, and not the default one: that reads the machine's certificates, which takes longer than all else
# that a call costs here.
UPSTREAM = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
UPSTREAM.check_hostname, UPSTREAM.verify_mode = False, ssl.CERT_NONE


class Gate:
    """Holds the creations of Jobs back on their way until it is opened: `plan` is a proxy's. `when_held` is called at the
    first."""

    def __init__(self, when_held=lambda: None):
        self.when_held = when_held
        self.held, self.opened = threading.Event(), threading.Event()

    def plan(self, call):
        if call.name == "POST jobs" and not self.opened.is_set():
            if not self.held.is_set():
                self.when_held()
            self.held.set()
            self.opened.wait()

    def open(self):
        self.opened.set()


class Proxy:
    """`plan(call)` is asked at each call and answers with a fault, or None to let it pass. `crash` is called where the
    operator is to die, and `freeze` where it is to stand still. `struck` has the faults that came to bear. `rewrite(text)` may change
    each answer; `page`, if set, is the size of a list's pages."""

    def __init__(self, server, plan=None, crash=None, rewrite=None, page=None, freeze=None):
        self.upstream = urlsplit(server)
        self.plan = plan or (lambda call: None)
        self.crash = crash or (lambda: None)
        self.freeze = freeze or (lambda: None)
        self.struck = []
        self.rewrite, self.page = rewrite, page
        self.seen = []
        self.lists = {}  # what each list first said
        self.events = {}  # and each watch
        self.stale = set()  # lists that are to say that once more
        self.lock = threading.Lock()
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                outer.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass  # connections that break are what this is for

        self.http = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()

    def names(self):
        """The calls that there were, each with its number."""
        with self.lock:
            return list(self.seen)

    def handle(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        name = call_name(request.command, request.path)
        fault = None
        if name:
            with self.lock:
                call = Call(name, 1 + sum(1 for c in self.seen if c.name == name))
                self.seen.append(call)
            fault = self.plan(call)
        if fault in UNDONE or fault == "410":
            self.struck.append(fault)
            return self.refuse(request, fault)
        if fault == "late":
            self.struck.append(fault)
            self.closing.wait(LATE)
        if self.page and name and name.startswith(("LIST", "NEXT")):
            request.path = re.sub("limit=[0-9]+", "limit=%d" % self.page, request.path)
        upstream = self.connect()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection")}
        upstream.request(request.command, request.path, body or None, headers)
        reply = upstream.getresponse()
        if fault == "freeze":
            self.struck.append(fault)
            self.freeze()
        if fault in DONE:
            self.struck.append(fault)
            reply.read()
            if fault == "after":
                self.crash()
            if fault == "504-after":
                return self.answer(request, 504, status(504, "Timeout"))
            return self.cut(request)
        if name and name.startswith("WATCH"):
            return self.relay_watch(request, reply, fault, name)
        return self.relay(request, reply, fault, name)

    def refuse(self, request, fault):
        if fault == "before":
            self.crash()
        if fault == "hang":
            self.closing.wait()
        if fault in ("before", "lose-request", "hang"):
            return self.cut(request)
        code = int(fault.split("-")[0])
        if fault.endswith("html"):
            return self.answer(request, code, HTML, "text/html")
        if code == 429:
            return self.answer(request, code, b"Too many requests, please try again later.", "text/plain", 1)
        return self.answer(request, code, status(code, {410: "Expired", 500: "InternalError"}[code]))

    @staticmethod
    def answer(request, code, body, kind="application/json", retry_after=None):
        request.send_response(code)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            request.send_header("Retry-After", str(retry_after))
        request.end_headers()
        request.wfile.write(body)

    def connect(self):
        return http.client.HTTPSConnection(self.upstream.hostname, self.upstream.port, context=UPSTREAM, timeout=400)

    @staticmethod
    def cut(request):
        request.close_connection = True
        request.connection.close()

    @staticmethod
    def relay_head(request, reply):
        request.send_response(reply.status)
        for header, value in reply.getheaders():
            if header.lower() not in ("transfer-encoding", "connection", "content-length"):
                request.send_header(header, value)

    def relay(self, request, reply, fault, name):
        body = reply.read()
        if name and name.startswith("LIST") and reply.status == 200:
            with self.lock:
                first = self.lists.setdefault(name, body)
                stale = fault == "stale" or name in self.stale
                if stale:
                    self.struck.append("stale")
                self.stale.discard(name)
            body = first if stale else body
        if self.rewrite:
            body = self.rewrite(body.decode()).encode()
        self.relay_head(request, reply)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def relay_watch(self, request, reply, fault, name):
        self.relay_head(request, reply)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.flush()

        def send(data):
            request.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            request.wfile.flush()

        if fault in STREAM:
            self.struck.append(fault)
        if fault == "short":
            return request.wfile.write(b"0\r\n\r\n")
        if fault == "silent":
            self.closing.wait()
            return self.cut(request)
        missed = 0
        while line := reply.readline():
            if self.rewrite:
                line = self.rewrite(line.decode()).encode()
            event = reply.status == 200 and b'"type":"BOOKMARK"' not in line
            with self.lock:
                first = self.events.setdefault(name, line) if event else line
            if fault in ("cut", "twice", "missed", "410-stream"):
                self.struck.append(fault)
            if fault == "cut":
                send(line[: len(line) // 2])
                return self.cut(request)
            if fault == "missed":
                missed += 1
                if missed == 1:  # until something is missed, and a while longer
                    deadline = time.monotonic() + 2
                if time.monotonic() < deadline:
                    continue
            if fault in ("missed", "410-stream", "stale-list"):
                if fault == "stale-list":
                    self.stale.add(name.replace("WATCH", "LIST"))
                send(json.dumps({"type": "ERROR", "object": json.loads(status(410, "Expired"))}).encode() + b"\n")
                return request.wfile.write(b"0\r\n\r\n")
            if fault == "old" and first != line:
                self.struck.append(fault)
                send(line + first)  # after each that is newer, so also after the newest; nobody sees the one alone
                continue
            send(line)
            if fault == "twice":
                send(line)
        return request.wfile.write(b"0\r\n\r\n")


def status(code, reason):
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": "injected", "code": code}
    return json.dumps(body).encode()
