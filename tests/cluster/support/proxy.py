"""A proxy between the operator and the API server that does, at one chosen write, what networks and crashes
do: the request is lost, the reply is lost, the reply is another."""

import http.client
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

WRITES = ("POST", "PUT", "PATCH", "DELETE")


def write_name(method, path):
    """A write in words, such as `PUT djangomigrates/status`; None for reads and for events."""
    parts = urlsplit(path).path.strip("/").split("/")
    if method not in WRITES or "events" in parts or "leases" in parts:
        return None
    after = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts else parts
    return "%s %s%s" % (method, after[0], "/status" if after[-1] == "status" else "")


class Proxy:
    """`plan(write, nth)` is asked at each write and answers `before`, `after` (with `crash` called there),
    `lose-reply`, `504-after`, or None to let it pass."""

    def __init__(self, server, plan=None, crash=None):
        self.upstream = urlsplit(server)
        self.plan = plan or (lambda write, nth: None)
        self.crash = crash or (lambda: None)
        self.seen = []
        self.lock = threading.Lock()
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

            def handle_error(self, request, client_address):
                pass  # connections that break are what this is for

        self.http = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    def handle(self, request):
        write = write_name(request.command, request.path)
        action = None
        if write:
            with self.lock:
                self.seen.append(write)
                nth = self.seen.count(write)
            action = self.plan(write, nth)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if action == "before":
            self.crash()
            return self.cut(request)
        upstream = self.connect()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection")}
        upstream.request(request.command, request.path, body or None, headers)
        reply = upstream.getresponse()
        if action in ("after", "lose-reply"):
            reply.read()
            if action == "after":
                self.crash()
            return self.cut(request)
        if action == "504-after":
            reply.read()
            text = b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Timeout","message":"injected","code":504}'
            request.send_response(504)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(text)))
            request.end_headers()
            request.wfile.write(text)
            return None
        return self.relay(request, reply)

    def connect(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(self.upstream.hostname, self.upstream.port, context=context, timeout=400)

    @staticmethod
    def cut(request):
        request.close_connection = True
        request.connection.close()

    @staticmethod
    def relay(request, reply):
        request.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                request.send_header(name, value)
        if reply.getheader("Content-Length"):
            request.send_header("Content-Length", reply.getheader("Content-Length"))
            request.end_headers()
            request.wfile.write(reply.read())
            return
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        while chunk := reply.read1(65536):
            request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            request.wfile.flush()
        request.wfile.write(b"0\r\n\r\n")
