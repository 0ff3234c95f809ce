"""The tests' own servers do not disturb each other."""

from pathlib import Path

from conftest import connect, on_server
from servers import free_port


def test_a_mariadb_deletes_no_other_ones_temporary_tables(mariadb):
    """At its start it deletes all that it finds in its directory for them."""
    server = connect(on_server("django.db.backends.mysql", mariadb.port, "mysql"))
    cursor = server.cursor()
    cursor.execute("SELECT @@tmpdir, @@datadir")
    temporary, data = cursor.fetchone()
    server.close()
    assert data.startswith(temporary)
    assert temporary != "/tmp"


def test_two_sessions_of_these_tests_take_different_ports(shop):
    port = free_port()
    code = "import itertools, servers; servers.PORTS = itertools.count(%d); print(servers.free_port())" % port
    shop.env["PYTHONPATH"] = str(Path(__file__).parent)
    assert int(shop.python("-c", code)[1]) > port, "though nobody listens there yet"
