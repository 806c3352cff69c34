"""Where the refresh page goes on: to this site, whatever it is asked for."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode, urlsplit

from django.http import HttpResponseBase
from django.test import Client, override_settings

from tests.browsing import HOME
from tests.fuzz.contract import check_answer
from tests.fuzz.source import Source
from tests.fuzz.visitor import UNTHROTTLED, arrive

__all__ = ["fuzz"]

PAGE = "/auth/refresh-page/"
HOST = "testserver"
PIECES = [
    *("/", "//", "\\", "///", "http:", "https:", "javascript:", "data:", "ftp:", "/\\"),
    *("evil.example", HOST, "@", ":80", "\t", "\n", "\r\nSet-Cookie: a=b", "\x00", " "),
    *("%2f", "%5c", "%0d%0a", "?", "#", "..", "[", "[::1]", "\uff0f", "\ud800", "é"),
    *("a" * 3000, "%" * 3000, "é" * 3000, "http:///", ":", "next=", "\x01", "\u2028"),
    "😀" * 1400,
]
FIELD = re.compile(r'name="next" value="([^"]*)"')


def fuzz(data: bytes) -> None:
    """Ask to go on to an address, by the page, by its form, or from a page itself."""
    source = Source(data)
    way = source.pick([_by_page, _by_form, _from_page])
    target = "".join(
        source.pick(PIECES) if source.flag() else source.text()
        for _ in range(source.number(6))
    )
    with override_settings(ROTATING_SESSIONS=UNTHROTTLED):
        mode = source.pick(["cookie", "nobody", "ended cookie"])
        client = Client(REMOTE_ADDR=HOME, headers=arrive().credentials(mode))
        way(client, target)


def _by_page(client: Client, target: str) -> None:
    response = client.get(f"{PAGE}?{_encoded(target)}")

    check_answer(PAGE, "GET", response)
    shown = FIELD.search(response.content.decode())
    assert shown, "the page lost its field"
    _is_of_this_site(unescape(shown[1]))


def _by_form(client: Client, target: str) -> None:
    form = "application/x-www-form-urlencoded"
    response = client.post(PAGE, _encoded(target), content_type=form)

    check_answer(PAGE, "POST", response)
    _is_redirect(response)


def _from_page(client: Client, target: str) -> None:
    """A page that needs a refresh first leads to the refresh page, and back."""
    url, headers = f"/plain/?{_encoded(target)}", {"Accept": "text/html"}
    with override_settings(ROTATING_SESSIONS={**UNTHROTTLED, "EPOCH": 1}):
        response = client.get(url, headers=headers)
    if client.defaults.get("HTTP_COOKIE"):
        _is_redirect(response)


def _is_redirect(response: HttpResponseBase) -> None:
    assert response.status_code == 302, response.status_code
    location = response.headers["Location"]
    assert location.isascii(), location
    assert location.isprintable(), location
    _is_of_this_site(location)


def _encoded(target: str) -> str:
    return urlencode({"next": target}, errors="surrogatepass")


def _is_of_this_site(location: str) -> None:
    """Make sure that a browser, which mends addresses first, stays on this site."""
    mended = location.strip("".join(map(chr, range(0x21))))
    mended = re.sub(r"[\t\r\n]", "", mended).replace("\\", "/")
    parts = urlsplit(mended)
    assert parts.scheme in {"", "http", "https"}, location
    assert parts.netloc in {"", HOST}, location
    assert parts.netloc == HOST or mended.startswith("/") or not parts.scheme, location
    assert not mended.startswith("///"), location
