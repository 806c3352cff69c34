"""The list's cursor: a page of sessions, or 404 for one that was made up."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlencode

from django.test import Client, override_settings

from tests.browsing import HOME
from tests.fuzz.contract import check_answer
from tests.fuzz.source import Source
from tests.fuzz.visitor import UNTHROTTLED, arrive

__all__ = ["fuzz"]

LIST = "/auth/sessions/"
POSITIONS = [
    *("2031-03-04 05:06:07.890123+00:00", "2031-03-04", "0001-01-01T00:00:00+14:00"),
    *("9999-12-31T23:59:59.999999-14:00", "2031-W10-1T00:00Z", "20310304T050607Z"),
    *("2031-03-04T05:06:07+23:59:59.999999", "None", "\x00", "\ud800", "\xb2", "0"),
    *("0000-00-00", "-1", "1e999", "inf", "2031-03-04T24:00:00Z", "1000-01-01T00:00Z"),
    "",
]
OFFSETS = ["0", "1", "1000", "1001", "-1", "9" * 30, "", "x", "²", "1_0", " 1 "]


def fuzz(data: bytes) -> None:
    """Ask for a page by a cursor of anything, or put together as ours are."""
    source = Source(data)
    with override_settings(ROTATING_SESSIONS=UNTHROTTLED):
        headers = arrive().credentials("header")
        client = Client(REMOTE_ADDR=HOME, headers=headers)
        response = client.get(f"{LIST}?{_query(source)}")

    check_answer(LIST, "GET", response)
    assert response.status_code in {200, 404}
    body = response.json()
    for link in (body.get("next"), body.get("previous")):
        if link is not None:
            assert client.get(link).status_code == 200, f"a page leads to none: {link}"


def _query(source: Source) -> str:
    if source.number(3) == 0:
        return source.rest().decode("latin-1").replace("#", "")
    parts = [
        ("p", source.pick([*POSITIONS, source.text()])),
        ("o", source.pick(OFFSETS)),
        ("r", source.pick(["1", "0", "", "x"])),
    ]
    inside = urlencode([part for part in parts if source.number(3)], errors="replace")
    return urlencode({"cursor": b64encode(inside.encode()).decode()})
