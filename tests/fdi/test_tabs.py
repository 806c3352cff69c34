"""Many tabs of one front end, with lives of two seconds: nobody is signed out."""

from __future__ import annotations

import time
from random import Random

import pytest

from rotating_sessions.models import RefreshToken
from tests import figures
from tests.browser.scenery import ACCESS_LIFETIME
from tests.browser.visitor import family_of
from tests.fdi.front_end import FrontEnd, open_front_end, refreshes

_WORK = """() => {
  window.log = [];
  const pause = () => new Promise((done) => setTimeout(done, Math.random() * 400));
  const lost = { status: 0 };
  const work = async () => {
    const { status } = await fetch(api + "/api/whoami").catch(() => lost);
    log.push(status);
    await pause();
    await work();
  };
  work();
}"""


@pytest.mark.parametrize("mode", ["cookie", "header"])
def test_tabs_stay_signed_in(visitor, user, deep, mode):
    """Four tabs that work and reload at random keep their one session, I-7."""
    seconds, dice = (90 if deep else 8), Random(11)  # noqa: S311 - no secret
    tabs = [open_front_end(visitor, mode=mode) for _ in range(4)]
    tabs[0].sign_in(user)
    for tab in tabs:
        tab.reload()
        tab.page.evaluate(_WORK)

    on_a_good_line = _let_work(tabs, seconds, dice)
    # A process loses every third answer: with two of them, two in a row at most.
    visitor.context.set_extra_http_headers({"Lose-Answers": "3"})
    on_a_bad_line = _let_work(tabs, seconds, dice)
    visitor.context.set_extra_http_headers({})

    family = family_of(user)
    statuses = on_a_good_line + on_a_bad_line
    assert set(on_a_good_line) == {200}
    assert set(on_a_bad_line) <= {0, 200}
    assert statuses.count(200) > 8 * seconds / ACCESS_LIFETIME
    assert family.revoked_at is None
    assert family.generation >= seconds / ACCESS_LIFETIME
    assert not RefreshToken.objects.filter(reused_at__isnull=False).exists()
    figures.count("requests of four tabs", len(statuses))
    figures.count("refreshes", refreshes(visitor))
    figures.count("answers to refreshes lost", _lost(visitor.failed))
    figures.count("generations", family.generation)


def _let_work(tabs: list[FrontEnd], seconds: float, dice: Random) -> list[int]:
    """Reload tabs in the middle of their work, and return how that went."""
    statuses: list[int] = []
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        tabs[0].page.wait_for_timeout(dice.uniform(300, 1500))
        statuses += _reload(dice.choice(tabs))
    for tab in tabs:
        statuses += _reload(tab)
    return statuses


def _reload(tab: FrontEnd) -> list[int]:
    """Load a tab again in the middle of its work; return how that went until then."""
    log: list[int] = tab.page.evaluate("log")
    tab.reload()
    tab.page.evaluate(_WORK)
    return log


def _lost(failed: list[str]) -> int:
    return failed.count("/auth/session/refresh")
