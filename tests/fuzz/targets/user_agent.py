"""The device in words: printable, short, and no trouble to any database."""

from __future__ import annotations

from django.http import HttpRequest

from rotating_sessions.clients import describe_device, read_client
from rotating_sessions.models import SessionFamily
from tests.fuzz.source import Source

__all__ = ["fuzz"]

PIECES = [
    *("Mozilla/5.0 ", "(X11; Linux x86_64; rv:128.0) ", "Gecko/20100101 Firefox/128.0"),
    *("(Windows NT 10.0; Win64; x64) ", "AppleWebKit/537.36 ", "Chrome/126 ", "curl/8"),
    *("Safari/604.1 ", "(iPhone; CPU iPhone OS 17_5 like Mac OS X) ", "Version/", "("),
    *(";" * 60, "/" * 60, " " * 60, "a" * 300, "\x00", "\x1b[2J", "\u202e", "<script>"),
]


def fuzz(data: bytes) -> None:
    """Send a User-Agent of anything, or of the pieces that browsers send."""
    source = Source(data)
    agent = "".join(
        source.pick(PIECES) if source.flag() else source.latin()
        for _ in range(source.number(12))
    )
    request = HttpRequest()
    request.META["HTTP_USER_AGENT"] = agent

    kept = read_client(request).user_agent
    device = describe_device(kept)

    assert device.strip(), "a device without a name"
    for text, column in ((kept, "user_agent"), (device, "device")):
        assert text.isprintable(), repr(text)
        assert len(text) <= SessionFamily._meta.get_field(column).max_length
        # What cannot be encoded could not be stored.
        text.encode()
