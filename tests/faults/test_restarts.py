"""Restarts: the database's plug is pulled under load, and it comes back."""

from __future__ import annotations

from django.core.management import call_command
from django.db import connection

from tests.faults.elsewhere import elsewhere
from tests.faults.servers import own_server
from tests.faults.siege import fleet, withstand
from tests.faults.tempo import SETTINGS
from tests.figures import count


def test_clients_outlive_their_database(rf, settings, deep):
    """I-5, I-6, I-8: A database that crashes and recovers costs 503s but no session."""
    settings.ROTATING_SESSIONS = SETTINGS
    restarts = 30 if deep else 3

    with own_server(connection.vendor) as database, elsewhere(**database.place):
        call_command("migrate", verbosity=0)
        with fleet() as server:
            withstand(server, rf, database.restart, times=restarts)

    count("database restarts", restarts)
