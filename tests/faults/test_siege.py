"""Sieges: a real server whose workers are killed at random, while clients go on."""

from __future__ import annotations

from tests.faults.siege import fleet, withstand
from tests.faults.tempo import SETTINGS
from tests.figures import count


def test_clients_outlive_their_workers(rf, settings, deep):
    """I-6, I-7, I-8: Workers die at random, no session does, and no thief wins."""
    settings.ROTATING_SESSIONS = SETTINGS
    kills = 300 if deep else 50

    with fleet() as server:
        withstand(server, rf, server.kill_one, times=kills)

    count("workers killed at random", kills)
