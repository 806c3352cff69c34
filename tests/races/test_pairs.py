"""Every operation raced against every other, at every isolation level."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection, connections
from django.test import override_settings

from rotating_sessions.tokens.refresh import decode_refresh
from tests import figures
from tests.races.aftermath import Aftermath, columns
from tests.races.crews import SIZE, Crew, processes, threads
from tests.races.levels import Level, connections_at
from tests.races.pairs import PAIRS, Pair
from tests.races.site import SETTINGS
from tests.races.stage import Situation, set_stage

pytestmark = pytest.mark.django_db(transaction=True)

_DEEP_ROUNDS = 10
_CREWS = ["threads", "processes"] if connection.vendor == "sqlite" else ["threads"]


@pytest.fixture(scope="module", params=_CREWS)
def crew(request: Any, level: Level, django_db_blocker: Any) -> Iterator[Crew]:
    """Return sixteen who race, each on a connection of its own at the level."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)
        with override_settings(**SETTINGS), connections_at(level):
            apart = request.param == "processes"
            with processes(level) if apart else threads() as found:
                yield found


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_invariants_hold_after_every_race(crew, level, pair, deep):
    """
    I-1 to I-4, I-8, I-12 to I-14, I-23: Whoever is first, all of them hold.

    RT-01, DB-02: On every database, at every isolation level, by threads and processes.
    """
    figure = f"on {connection.vendor}, {level.name}, {type(crew).__name__.lower()}"
    for situation in pair.situations() * (_DEEP_ROUNDS if deep else 1):
        aftermath = race(crew, pair, situation)

        failed = sum(answer.status >= 500 for answer in aftermath.race.answers)
        figures.count(f"race rounds {figure}")
        figures.count(f"racing operations on {connection.vendor}", SIZE)
        figures.count(f"5xx answers on {connection.vendor}", failed)
        aftermath.check()


def race(crew: Crew, pair: Pair, situation: Situation) -> Aftermath:
    """Play one round."""
    stage = set_stage(situation)
    bystander = decode_refresh(stage.bystander.refresh or "").family_id
    before = columns(bystander)
    half = SIZE // 2
    operations = [pair.left] * half + [pair.right] * half
    jobs = [
        partial(operation, stage.held, seat)
        for seat, operation in enumerate(operations)
    ]
    return Aftermath(
        pair=pair, stage=stage, race=crew.race(jobs), bystander_before=before
    )
