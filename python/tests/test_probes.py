"""The probes and the middleware, on real databases and caches, by WSGI and ASGI."""

import json
import signal

import django
import pytest
from servers import free_port

P = "django_operator_tasks.probes."
GET = """
import json
from django.test import Client
client = Client()
for path in %r:
    response = client.get(path)
    print(json.dumps([path, response.status_code, response.headers["Content-Type"], response.content.decode()]))
"""


def get(site, *paths, **env):
    return [json.loads(line)[1:] for line in site.script(GET % (paths,), **env).splitlines() if line.startswith("[")]


def caches(backend, *servers, **more):
    return {"default": {"BACKEND": backend, "LOCATION": list(servers), **more}}


@pytest.mark.everywhere
def test_what_is_asked_and_what_is_not(shop):
    assert get(shop, "/livez", "/healthz", "/readyz") == [[200, "text/plain", "Ok"]] * 3
    assert get(shop, "/nothing")[0][0] == 404
    assert get(shop, "/readyz", DATABASE_FILE="/nonexistent/db") == [
        [503, "text/plain", "db: could not connect to database"]
    ]
    assert get(shop, "/livez", DATABASE_FILE="/nonexistent/db") == [[200, "text/plain", "Ok"]]


def test_json_tells_what_each_probe_said(shop):
    shop.settings["DJK8S_READINESS_PROBES"] = ["shop.probes.Never", P + "DatabaseProbe"]
    ((status, kind, body),) = get(shop, "/readyz?format=json")
    assert (status, kind) == (503, "application/json")
    found = json.loads(body)
    assert found["status"] == "not ready" and all(each.pop("seconds") >= 0 for each in found["probes"])
    assert found["probes"] == [
        {"probe": "Never", "ready": False, "message": "never"},
        {"probe": "DatabaseProbe", "ready": True},
    ]
    assert json.loads(get(shop, "/livez?format=json")[0][2]) == {"status": "ok", "probes": []}
    code, output = shop.manage("probe", "--ready", "--json")
    (line,) = [line for line in output.splitlines() if line.startswith("{")]
    assert code == 1 and [each["ready"] for each in json.loads(line)["probes"]] == [False, True]
    code, output = shop.manage("probe", "--live", "--json")
    assert code == 0 and json.loads(output) == {"status": "ok", "probes": []}


@pytest.mark.everywhere
def test_started_means_migrated_and_stays_so(shop):
    twice = "/startupz", "/startupz"
    assert get(shop, *twice) == [[503, "text/plain", "db: migrations are not applied"]] * 2
    assert shop.manage("probe", "--startup")[0] == 1
    shop.manage("lockedmigrate")
    assert get(shop, *twice) == [[200, "text/plain", "Ok"]] * 2
    assert shop.manage("probe", "-S")[0] == 0
    code = GET % (("/startupz",),)
    forget = (
        "from django.db import connection\nconnection.cursor().execute('DELETE FROM django_migrations')\n"
        + code.split("client = Client()")[1]
    )
    assert [json.loads(line)[1] for line in shop.script(code + forget).splitlines()] == [200, 200]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mysql"])
def test_no_probe_logs_a_query(shop, databases, engine):
    """DEBUG keeps every query of a request; a probe's would only be in the way."""
    shop.settings.update(DEBUG=True, DATABASES={"default": databases(engine, "quiet")})
    shop.settings["CACHES"] = {
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "caches"}
    }
    shop.settings["DJK8S_READINESS_PROBES"] = [
        P + "DatabaseProbe",
        P + "MigrationsProbe",
        P + "CacheProbe",
        "shop.probes.Users",
    ]
    shop.manage("migrate")
    shop.manage("createcachetable")
    code = """
from django.core.management import call_command
from django.db import connection, reset_queries
from django.test import RequestFactory
from django_operator_tasks.middleware import ProbeMiddleware
import logging
records = []
handler = logging.Handler(); handler.emit = records.append
logging.getLogger("django.db.backends").addHandler(handler); logging.getLogger("django.db.backends").setLevel("DEBUG")
middleware = ProbeMiddleware(lambda request: None)
connection.close()
for _ in range(2):
    print(middleware(RequestFactory().get("/readyz")).content.decode())
print(len(connection.queries), len(records))
connection.cursor().execute("SELECT 1")
print(len(connection.queries), len(records))
"""
    assert shop.script(code).split() == ["Ok", "Ok", "0", "0", "1", "1"]


def test_a_connection_that_the_server_gave_up_is_opened_again(shop, databases):
    shop.settings["DATABASES"] = {"default": {**databases("postgresql", "stale"), "CONN_MAX_AGE": None}}
    code = """
from django_operator_tasks.probes import DatabaseProbe
from django.db import connection
DatabaseProbe().ready(None)
import psycopg
s = connection.settings_dict
pid = connection.connection.info.backend_pid
with psycopg.connect(host=s["HOST"], port=s["PORT"], user=s["USER"], password=s["PASSWORD"], dbname=s["NAME"], autocommit=True) as other:
    other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
DatabaseProbe().ready(None)
print("again")
"""
    assert "again" in shop.script(code)


ASGI = """
import asyncio, json
from shop.asgi import application
async def select_one(path):
    sent, asked = [], []
    async def receive():
        if asked:
            await asyncio.sleep(3600)
        asked.append(1)
        return {"type": "http.request"}
    async def send(event): sent.append(event)
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "http_version": "1.1", "server": ("h", 80)}
    await application(scope, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()
async def main():
    for path in ("/livez", "/readyz", "/startupz", "/nothing"):
        print(json.dumps(await select_one(path)))
asyncio.run(main())
"""


@pytest.mark.everywhere
def test_asgi_asks_the_database_without_blocking_the_loop(shop):
    shop.manage("lockedmigrate")
    shop.settings["DJK8S_READINESS_PROBES"] = [P + "DatabaseProbe", "shop.probes.Users"]
    lines = [json.loads(line) for line in shop.script(ASGI).splitlines() if line.startswith("[")]
    assert lines[:3] == [[200, "Ok"]] * 3 and lines[3][0] == 404
    shop.settings["DJK8S_READINESS_PROBES"] = ["shop.probes.Never"]
    assert [json.loads(line) for line in shop.script(ASGI).splitlines() if line.startswith("[")][1] == [503, "never"]


def test_a_project_below_a_prefix_is_asked_at_its_root(shop):
    shop.settings["FORCE_SCRIPT_NAME"] = "/below"
    assert get(shop, "/livez")[0][0] == 200


def test_the_log_says_why_in_one_line(shop, databases):
    shop.settings["DJK8S_READINESS_PROBES"] = ["shop.probes.Never"]
    assert shop.script(GET % (("/readyz",),)).splitlines()[0] == "Never is not ready: never"
    gone = {**databases("postgresql", "quiet"), "PORT": str(free_port())}
    shop.settings.update(DATABASES={"default": gone}, DJK8S_READINESS_PROBES=[P + "DatabaseProbe"])
    (said,) = [line for line in shop.script(GET % (("/readyz",),)).splitlines() if not line.startswith("[")]
    assert said.startswith("DatabaseProbe is not ready: database 'default': ") and "Is the server running" in said


OWN_MIDDLEWARE = """
from django.contrib.auth.models import User
from django_operator_tasks.middleware import ProbeMiddleware
class Alive(ProbeMiddleware):
    def health(self, request):
        User.objects.count()
        return super().health(request)
class Marking(ProbeMiddleware):
    def __call__(self, request):
        response = super().__call__(request)
        response["X-Pod"] = "here"
        return response
class Both(Marking, Alive): pass
class Mixin:
    def __call__(self, request):
        response = super().__call__(request)
        response["X-Pod"] = "here"
        return response
class Mixed(Mixin, ProbeMiddleware): pass
class Asynchronous(ProbeMiddleware):
    async def __call__(self, request): return await super().__call__(request)
class Either(ProbeMiddleware):
    async_capable = True
    def __call__(self, request): return self.answer(request) if self.is_async else None
"""


@pytest.mark.parametrize("name", ["Alive", "Marking", "Both", "Mixed", "Asynchronous", "Either"])
def test_a_middleware_made_of_ours_works_under_asgi(shop, name):
    shop.manage("lockedmigrate")
    shop.add_application("own", middleware=OWN_MIDDLEWARE)
    shop.settings["MIDDLEWARE"] = ["own.middleware." + name]
    lines = [json.loads(line) for line in shop.script(ASGI).splitlines() if line.startswith("[")]
    assert lines[:2] == [[200, "Ok"]] * 2 and lines[3][0] == 404
    if name != "Either":
        assert get(shop, "/livez", "/readyz") == [[200, "text/plain", "Ok"]] * 2


@pytest.mark.parametrize("backend", ["PyMemcacheCache", "PyLibMCCache"])
def test_memcached_servers_are_all_asked(shop, memcached, backend):
    name = "django.core.cache.backends.memcached." + backend
    here, gone = "127.0.0.1:%d" % memcached.port, "127.0.0.1:%d" % free_port()
    for servers, expected in (((here,), 200), ((here, gone), 503), ((gone,), 503)):
        shop.settings["CACHES"] = caches(name, *servers)
        assert get(shop, "/readyz")[0][0] == expected, servers
    shop.settings["CACHES"] = caches(name, here)
    memcached.stop(signal.SIGKILL)
    assert get(shop, "/readyz") == [[503, "text/plain", "cache: could not connect to cache"]]


@pytest.mark.parametrize("backend", ["django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache"])
def test_redis_is_asked(shop, own_redis, backend):
    shop.settings["DJK8S_READINESS_PROBES"] = [P + "RedisProbe"]
    shop.settings["CACHES"] = caches(backend, "redis://127.0.0.1:%d/0" % own_redis.port)
    assert get(shop, "/readyz") == [[200, "text/plain", "Ok"]]
    own_redis.stop()
    assert get(shop, "/readyz") == [[503, "text/plain", "cache: could not connect to cache"]]


def test_a_redis_cache_that_hides_its_errors_is_found_out(shop, own_redis):
    own_redis.stop()
    shop.settings["DJK8S_READINESS_PROBES"] = [P + "CacheProbe"]
    shop.settings["CACHES"] = caches(
        "django_redis.cache.RedisCache", "redis://127.0.0.1:%d/0" % own_redis.port, OPTIONS={"IGNORE_EXCEPTIONS": True}
    )
    assert get(shop, "/readyz")[0][0] == 503


def test_any_cache_gives_back_what_it_was_given_and_keeps_nothing(shop, redis, tmp_path):
    shop.settings["DJK8S_READINESS_PROBES"] = [P + "CacheProbe"]
    core = "django.core.cache.backends."
    for backend, location in (
        ("locmem.LocMemCache", ""),
        ("dummy.DummyCache", ""),
        ("filebased.FileBasedCache", str(tmp_path / "cache")),
        ("redis.RedisCache", "redis://127.0.0.1:%d/1" % redis.port),
    ):
        shop.settings["CACHES"] = {"default": {"BACKEND": core + backend, "LOCATION": location}}
        assert get(shop, "/readyz")[0][0] == 200, backend
    assert not list(tmp_path.glob("cache/*"))


def test_a_password_of_the_database_is_not_logged(shop, databases):
    gone = {**databases("postgresql", "quiet"), "PORT": str(free_port())}
    shop.settings["DATABASES"] = {"default": {**gone, "PASSWORD": "refused"}}
    output = shop.script(GET % (("/readyz",),))
    assert "is not ready" in output and "refused" not in output


def test_a_way_past_the_pooler_is_nobody_elses_business(shop, databases):
    here, other = databases("postgresql", "direct"), {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    gone = {**here, "PORT": str(free_port())}
    for made, said, expected in (
        ({"default": here, "direct": gone}, None, 503),
        ({"default": here, "direct": gone}, "direct", 200),
        ({"default": here, "direct": gone}, {"default": "direct"}, 200),
        ({"default": here, "direct": gone}, "nowhere", 503),
        ({"default": here, "direct": {**gone, "NAME": "x", "TEST": {"MIRROR": "default"}}}, "direct", 200),
        ({"default": here}, "nowhere", 200),
        ({"default": gone, "direct": here}, "direct", 503),
        ({"default": other, "direct": gone}, {"default": "direct"}, 503),  # another database, which requests may use
    ):
        shop.settings.update(DATABASES=made, DJK8S_MIGRATE_LOCK_DATABASE=said)
        assert get(shop, "/readyz")[0][0] == expected, (made, said)


def test_a_database_without_its_driver_is_not_ready_and_no_crash(shop):
    shop.settings["DATABASES"] = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
        "other": {"ENGINE": "django.db.backends.oracle", "NAME": "x"},
    }
    assert get(shop, "/readyz")[0][0] == 503
    shop.settings["DJK8S_READINESS_PROBES"] = [P + "MemcachedProbe"]
    assert get(shop, "/readyz")[0][0] == 200


def test_a_pool_whose_sessions_the_server_ended_is_ready_at_once(shop, databases):
    here = databases("postgresql", "stale")
    shop.settings["DATABASES"] = {"default": {**here, "OPTIONS": {"pool": {"min_size": 4, "max_size": 4}}}}
    code = """
import psycopg
from django.db import connection
from django_operator_tasks.probes import DatabaseProbe
DatabaseProbe().ready(None)
connection.close()
s = connection.settings_dict
with psycopg.connect(host=s["HOST"], port=s["PORT"], user=s["USER"], password=s["PASSWORD"], dbname=s["NAME"], autocommit=True) as other:
    others = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'stale' AND pid <> pg_backend_pid()"
    print(len(other.execute(others).fetchall()))
for _ in range(3):
    DatabaseProbe().ready(None)
    connection.close()
print("ready")
"""
    ended, last = shop.script(code).split()[-2:]
    assert int(ended) > 0
    assert last == "ready"


def test_views_remember_what_their_probes_saw(shop, databases):
    shop.settings.update(
        DATABASES={"default": databases("postgresql", "views")},
        MIDDLEWARE=[],
        ROOT_URLCONF="django_operator_tasks.urls",
    )
    shop.settings["DJK8S_READINESS_PROBES"] = [P + "MigrationsProbe"]
    shop.manage("lockedmigrate")
    code = """
from django.db import connection
from django.test import Client, RequestFactory
from django_operator_tasks.views import ReadinessView
print(Client().get("/readyz").status_code, Client().get("/startupz").status_code)
connection.cursor().execute("DELETE FROM django_migrations")
print(Client().get("/readyz").status_code, Client().get("/startupz").status_code)
view = ReadinessView.as_view(setting="DJK8S_STARTUP_PROBES")
print([each["probe"] for each in __import__("json").loads(view(RequestFactory().get("/?format=json")).content)["probes"]])
"""
    assert shop.script(code).splitlines() == ["200 200", "200 200", "['DatabaseProbe', 'MigrationsProbe']"]


def test_what_a_project_may_put_in_place_of_a_class(shop):
    """As it could with djk8s: a function that makes a probe, and a view with probes of its own."""
    shop.add_application(
        "own",
        probes="from django_operator_tasks.probes import ReadinessProbe, NotReady\n"
        "class Good(ReadinessProbe):\n    def ready(self, request): pass\n"
        "class Bad(ReadinessProbe):\n    def ready(self, request): raise NotReady('bad')\n"
        "def make(): return Bad()\ndef wrong(): return 1\n",
    )
    shop.settings["DJK8S_READINESS_PROBES"] = ["own.probes.make"]
    assert get(shop, "/readyz") == [[503, "text/plain", "bad"]]
    code = """
from django.test import RequestFactory
from django_operator_tasks.views import ReadinessView
from own.probes import Good
class Mine(ReadinessView):
    probes = [Good()]
for view in (Mine.as_view(), ReadinessView.as_view(probes=[Good()]), ReadinessView.as_view()):
    print(view(RequestFactory().get("/")).status_code)
"""
    assert [line for line in shop.script(code).splitlines() if line.isdigit()] == ["200", "200", "503"]
    shop.settings["DJK8S_READINESS_PROBES"] = ["own.probes.wrong"]
    code, output = shop.manage("probe", "--ready")
    assert code == 1
    assert "is no django_operator_tasks.probes.ReadinessProbe" in output


def test_a_pool_that_gets_no_session_is_asked_once(shop, databases):
    gone = {
        **databases("postgresql", "stale"),
        "PORT": str(free_port()),
        "OPTIONS": {"pool": {"min_size": 1, "timeout": 0.2}},
    }
    shop.settings["DATABASES"] = {"default": gone}
    code = """
from django_operator_tasks import probes
asked, select_one = [], probes.select_one
probes.select_one = lambda connection: asked.append(1) or select_one(connection)
try: probes.DatabaseProbe().ready(None)
except probes.NotReady: print(len(asked))
"""
    assert shop.script(code).split()[-1] == "1"


def test_two_at_once_on_one_connection_leave_its_log_as_it_was(shop):
    shop.settings["DEBUG"] = True
    code = """
from django.db import connection
from django_operator_tasks.db.query_log import without_query_log
one, two = without_query_log([connection]), without_query_log([connection])
one.__enter__(), two.__enter__()
connection.cursor().execute("SELECT 1")
print(len(connection.queries))
one.__exit__(None, None, None), two.__exit__(None, None, None)
connection.cursor().execute("SELECT 1")
print(len(connection.queries))
"""
    assert shop.script(code).split() == ["0", "1"]


def test_a_cache_without_its_driver_is_not_ready_and_no_crash(shop):
    shop.settings["CACHES"] = {"default": {"BACKEND": "no.such.backend.Cache"}}
    shop.settings["DJK8S_READINESS_PROBES"] = ["django_operator_tasks.probes.CacheProbe"]
    code, output = shop.manage("probe", "--ready")
    assert code == 1 and "cache: could not connect to cache" in output and "Traceback" not in output


def test_a_probe_that_nobody_would_await_is_refused(shop):
    shop.add_application(
        "waiting",
        probes="from django_operator_tasks.probes import NotReady, ReadinessProbe\n"
        "class Late(ReadinessProbe):\n    async def ready(self, request): raise NotReady()\n"
        "def late(): return Late()\n",
    )
    for name, told in (("Late", True), ("late", False)):  # what a function makes is known when it is asked
        shop.settings["DJK8S_READINESS_PROBES"] = ["waiting.probes." + name]
        shop.settings["MIDDLEWARE"] = []
        assert ("W006" in shop.manage("check")[1]) is told
        code, output = shop.manage("probe", "--ready")
        assert code != 0 and "ready() of" in output and "is async" in output


def test_one_path_need_not_be_in_a_list(shop):
    shop.settings["DJK8S_READY_PATHS"] = "/ready"
    assert [status for status, *_ in get(shop, "/ready", "/", "/r")] == [200, 404, 404]


def test_views_need_no_database_to_answer(shop):
    """ATOMIC_REQUESTS would open a transaction first."""
    gone = {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": str(free_port()), "NAME": "x"}
    shop.settings.update(MIDDLEWARE=[], ROOT_URLCONF="django_operator_tasks.urls")
    shop.settings["DATABASES"] = {"default": {**gone, "ATOMIC_REQUESTS": True}}
    answers = get(shop, "/livez", "/readyz", "/startupz")
    assert [status for status, *_ in answers] == [200, 503, 503]


@pytest.mark.skipif(django.VERSION < (5, 1), reason="LoginRequiredMiddleware came with Django 5.1")
def test_views_need_no_login(shop):
    shop.settings["ROOT_URLCONF"] = "django_operator_tasks.urls"
    names = "sessions.middleware.Session", "auth.middleware.Authentication", "auth.middleware.LoginRequired"
    shop.settings["MIDDLEWARE"] = ["django.contrib.%sMiddleware" % name for name in names]
    shop.manage("lockedmigrate")
    assert [status for status, *_ in get(shop, "/livez", "/readyz", "/startupz")] == [200] * 3


def test_each_view_remembers_for_itself(shop):
    shop.add_application(
        "starting",
        urls="from django.urls import path\nfrom django_operator_tasks.probes import DatabaseProbe\n"
        "from django_operator_tasks.views import StartupView\nfrom shop.probes import Never\n"
        "class A(StartupView): probes = [DatabaseProbe()]\nclass B(StartupView): probes = [Never()]\n"
        "urlpatterns = [path('a', A.as_view()), path('b', B.as_view())]\n",
    )
    shop.settings.update(MIDDLEWARE=[], ROOT_URLCONF="starting.urls")
    assert [status for status, *_ in get(shop, "/b", "/a", "/b")] == [503, 200, 503]


def test_a_probe_that_says_no_is_no_error_of_the_project(shop):
    """Which Django would send to ADMINS, every five seconds."""
    for path in ("/readyz", "/readyz?format=json"):
        for middleware in (True, False):
            if not middleware:
                shop.settings.update(MIDDLEWARE=[], ROOT_URLCONF="django_operator_tasks.urls")
            output = shop.script(GET % ((path,),), DATABASE_FILE="/nonexistent/db")
            assert "503" in output and "Service Unavailable" not in output
