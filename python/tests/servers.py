"""Real servers, from Debian's packages, each on a free port of loopback with data that goes away. A server
that does not start fails the tests that need it."""

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

PASSWORD = "pw-of-the-tests"


# Below the ports that the kernel gives to clients, so that no client takes one between its choice and the server's
# start; each worker of pytest-xdist has its own thousand.
PORTS = itertools.count(20000 + 1000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]))


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


CLAIMS = []


def free_port():
    """One that no other session of these tests takes either, until this one ends."""
    for port in PORTS:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind("\0django-operator-tasks-tests-%d" % port)
        except OSError:
            continue
        CLAIMS.append(claim)
        if is_free(port):
            return port
    raise RuntimeError("no port is free")


def program(name, package):
    found = [
        *Path("/usr/lib/postgresql").glob("*/bin/" + name),
        *filter(None, [shutil.which(name), shutil.which("/usr/sbin/" + name)]),
    ]
    if not found:
        raise FileNotFoundError("%s is missing; on Debian: apt-get install %s" % (name, package))
    return str(found[-1])


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A server process, and where it listens."""

    def __init__(self, argv, port, log, ready=answers):
        self.argv, self.port, self.log, self.ready = argv, port, log, ready
        self.process = None
        self.start()

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(self.argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not self.ready(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("%s did not start:\n%s" % (self.argv[0], Path(self.log).read_text()[-2000:]))
            time.sleep(0.05)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(how)
        self.process.wait(30)


@contextmanager
def home(owner):
    """A directory that belongs to the account that a server runs as."""
    path = Path(tempfile.mkdtemp(prefix="tasks-tests-"))
    if os.getuid() == 0:
        shutil.chown(path, owner)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def prepare(argv):
    """What a server needs before its first start; its own words if that fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/")
    if done.returncode:
        raise RuntimeError("%s failed:\n%s" % (argv[0], done.stdout[-2000:]))


def as_user(owner):
    """Servers get an account of their own, as some refuse to run as root, and end with the tests."""
    account = []
    if os.getuid() == 0:
        group = str(pwd.getpwnam(owner).pw_gid)
        account = ["--reuid", owner, "--regid", group, "--clear-groups"]
    return ["setpriv", *account, "--pdeathsig", "KILL"]


@contextmanager
def running(*args):
    server = Server(*args)
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def postgres():
    with home("postgres") as data:
        user, port = as_user("postgres"), free_port()
        (data / "password").write_text(PASSWORD)
        prepare(
            [
                *user,
                program("initdb", "postgresql"),
                "--no-sync",
                "-U",
                "tests",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
                data / "db",
                "--auth=scram-sha-256",
                "--pwfile",
                data / "password",
            ]
        )
        argv = [
            *user,
            program("postgres", "postgresql"),
            "-D",
            str(data / "db"),
            "-p",
            str(port),
            "-k",
            str(data),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=200",
        ]
        with running(argv, port, str(data / "log"), accepts) as server:
            yield server


def accepts(port):
    """PostgreSQL's port answers before the server takes sessions."""
    words = [program("pg_isready", "postgresql"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(words).returncode == 0


@pytest.fixture(scope="session")
def mariadb():
    with home("mysql") as data:
        port = free_port()
        account = ["--user=mysql"] if os.getuid() == 0 else []
        # A server that starts deletes the temporary tables that it finds there, which could be another one's.
        tmpdir = "--tmpdir=%s" % data
        prepare(
            [
                program("mariadb-install-db", "mariadb-server"),
                "--no-defaults",
                *account,
                "--datadir=%s" % (data / "db"),
                tmpdir,
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ]
        )
        init = data / "init.sql"
        init.write_text(
            "CREATE USER 'tests'@'%%' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO 'tests'@'%%' WITH GRANT OPTION;\n"
            % PASSWORD
        )
        argv = [
            *as_user("mysql"),
            program("mariadbd", "mariadb-server"),
            "--no-defaults",
            "--datadir=%s" % (data / "db"),
            tmpdir,
            "--port=%d" % port,
            "--bind-address=127.0.0.1",
            "--socket=%s" % (data / "socket"),
            "--init-file=%s" % init,
            "--skip-name-resolve",
            "--pid-file=%s" % (data / "pid"),
            "--max-connections=200",
        ]
        with running(argv, port, str(data / "log")) as server:
            yield server


@contextmanager
def pgbouncers(postgres, number):
    """So many of them on one port, in transaction mode; in session mode, with few sessions, for the database
    `session_pooled`."""
    with home("postgres") as data, ExitStack() as stack:
        port = free_port()
        target = "host=127.0.0.1 port=%d user=tests password=%s" % (postgres.port, PASSWORD)
        (data / "ini").write_text(
            "[databases]\nsession_pooled = %s dbname=pooled pool_mode=session pool_size=6\n"
            "one_pooled = %s dbname=pooled pool_size=1\n* = %s\n[pgbouncer]\n"
            "listen_addr = 127.0.0.1\nlisten_port = %d\nauth_type = any\npool_mode = transaction\nmax_client_conn = 200\n"
            "default_pool_size = 20\nunix_socket_dir =\nso_reuseport = 1\nquery_wait_timeout = 20\n"
            % (target, target, target, port)
        )
        argv = [*as_user("postgres"), program("pgbouncer", "pgbouncer"), str(data / "ini")]
        servers = [stack.enter_context(running(argv, port, str(data / ("log%d" % n)))) for n in range(number)]
        while listeners(port) < number:
            assert all(server.process.poll() is None for server in servers), "a pooler did not start"
            time.sleep(0.05)
        yield port


def listeners(port):
    """How many sockets take connections on a port of loopback."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1] == "0100007F:%04X" % port and row[3] == "0A" for row in rows)


@pytest.fixture(scope="session")
def pgbouncer(postgres):
    with pgbouncers(postgres, 1) as port:
        yield port


@pytest.fixture
def three_pgbouncers(postgres):
    with pgbouncers(postgres, 3) as port:
        yield port


@contextmanager
def redis_server():
    port = free_port()
    with home("nobody") as data:
        argv = [
            *as_user("nobody"),
            program("redis-server", "redis-server"),
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(data),
        ]
        with running(argv, port, str(data / "log")) as server:
            yield server


@pytest.fixture(scope="session")
def redis():
    with redis_server() as server:
        yield server


@pytest.fixture
def own_redis():
    """One that a test may stop."""
    with redis_server() as server:
        yield server


@pytest.fixture
def memcached():
    port = free_port()
    with (
        home("nobody") as data,
        running(
            [*as_user("nobody"), program("memcached", "memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0"],
            port,
            str(data / "log"),
        ) as server,
    ):
        yield server
