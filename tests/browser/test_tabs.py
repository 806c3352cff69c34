"""Many tabs of one browser, on a bad line: nobody is logged out."""

from __future__ import annotations

import time
from random import Random

from playwright.sync_api import Page

from rotating_sessions.models import RefreshToken
from tests import figures
from tests.browser.scenery import ACCESS_LIFETIME, TIMEOUT
from tests.browser.visitor import Visitor, family_of, log_in

_OPTIONS = {"timeout": TIMEOUT * 1000}
_WORK = """() => {
  window.log = [];
  const pause = () => new Promise((done) => setTimeout(done, Math.random() * 400));
  const lost = { status: 0 };
  const work = async () => {
    const { status } = await client.fetch("/api/whoami/").catch(() => lost);
    log.push(status);
    await pause();
    await work();
  };
  work();
}"""


def test_six_tabs_on_a_bad_line_stay_signed_in(visitor, user, deep):
    """Six tabs work, reload and lose answers, and their one session goes on, I-7."""
    seconds, dice = (180 if deep else 16), Random(11)  # noqa: S311 - no secret
    tabs = [visitor.open_client(**_OPTIONS) for _ in range(5)]
    log_in(tabs[0], user)
    page = visitor.open("/account/")
    for tab in tabs:
        tab.evaluate(_WORK)
    # A process loses every third: with two of them, two in a row at most.
    visitor.context.set_extra_http_headers({"Lose-Answers": "3"})
    statuses: list[int] = []
    begun = time.monotonic()

    while time.monotonic() - begun < seconds:
        page.wait_for_timeout(dice.uniform(100, 900))
        if dice.random() < 0.3:
            page.reload()
            assert page.get_by_role("heading", name="Hello").is_visible()
        else:
            statuses += _reload(visitor, dice.choice(tabs))

    visitor.context.set_extra_http_headers({})
    for tab in tabs:
        statuses += _reload(visitor, tab)
    family = family_of(user)
    assert set(statuses) <= {0, 200}
    assert statuses.count(200) > 10 * seconds / ACCESS_LIFETIME
    assert family.revoked_at is None
    # A rotation at every second expiry at least, and none of its tokens came back late.
    assert family.generation >= seconds / ACCESS_LIFETIME / 2
    assert not RefreshToken.objects.filter(reused_at__isnull=False).exists()
    figures.count("requests of six tabs", len(statuses))
    figures.count("refreshes", visitor.refreshes())
    figures.count("answers to refreshes lost", visitor.failed.count("/auth/refresh/"))
    figures.count("generations", family.generation)


def _reload(visitor: Visitor, tab: Page) -> list[int]:
    """Reload a tab in the middle of its work, and return how that went until then."""
    log: list[int] = tab.evaluate("log")
    tab.reload()
    visitor.load_client(tab, **_OPTIONS)
    tab.evaluate(_WORK)
    return log
