"""The tests' own servers do not disturb each other."""

from conftest import connect, on_server


def test_a_mariadb_deletes_no_other_ones_temporary_tables(mariadb):
    """At its start it deletes all that it finds in its directory for them."""
    server = connect(on_server("django.db.backends.mysql", mariadb.port, "mysql"))
    cursor = server.cursor()
    cursor.execute("SELECT @@tmpdir, @@datadir")
    temporary, data = cursor.fetchone()
    server.close()
    assert data.startswith(temporary)
    assert temporary != "/tmp"
