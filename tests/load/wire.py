"""Send requests to the site, each on a connection of its own, and lose some answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from time import monotonic

import h11

from tests.load.scenery import HOST
from tests.load.tally import Fault, Tally

__all__ = ["Answer", "Message", "NoAnswer", "Wire"]

_CHUNK = 65_536  # bytes


class NoAnswer(Exception):
    """The answer was lost, cut off or late: nobody knows what the server did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request: with a body it is a POST."""

    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def is_refresh(self) -> bool:
        """Tell whether it presents a refresh token."""
        return self.path == "/auth/refresh/"

    def encode(self, http: h11.Connection) -> bytes:
        """Return the bytes to send."""
        content = b"" if self.body is None else json.dumps(self.body).encode()
        request = h11.Request(
            method="GET" if self.body is None else "POST",
            target=self.path,
            headers=[
                ("Host", HOST),
                ("Connection", "close"),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(content))),
                *self.headers.items(),
            ],
        )
        parts = (request, h11.Data(data=content), h11.EndOfMessage())
        return b"".join(http.send(part) or b"" for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said."""

    status: int
    body: Mapping[str, object] = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)

    @property
    def outcome(self) -> str:
        """Return in a few words what the answer amounts to."""
        return f"{self.status} {self.body.get('code', '')}".strip()


class Wire:
    """
    The way to the site, on which answers are timed and 5xx noticed.

    Whoever sends takes a `turn` first: the server gets as many requests at a time as it
    has threads. A queue in front of them would hold requests whose client has given up,
    and bring them in after the grace period: no protocol could tell them from theft.
    """

    def __init__(self, port: int, tally: Tally, *, at_once: int) -> None:
        self.turn = asyncio.Semaphore(at_once)
        self._port = port
        self._tally = tally

    async def ask(self, message: Message, *, within: float) -> Answer:
        """
        Send a request and return its answer.

        Args:
            message: What to send.
            within: The seconds after which to give up.

        Raises:
            NoAnswer: None came in time. It counts as if it had come just then.
        """
        started = monotonic()
        try:
            async with asyncio.timeout(within):
                answer = await self._converse(message)
        except (TimeoutError, OSError, h11.RemoteProtocolError) as error:
            self._tally.timeouts += 1
            self._tally.unseen += message.is_refresh
            raise NoAnswer from error
        finally:
            seconds = monotonic() - started
            self._tally.requests.append(seconds)
            if message.is_refresh:
                self._tally.refreshes.append(seconds)
        if answer.status >= 500:
            self._tally.blame(Fault.SERVER_ERROR, f"{answer.outcome} {message.path}")
        return answer

    async def hang_up(self, message: Message) -> None:
        """Send a request and close the connection before its answer can come."""
        self._tally.unseen += message.is_refresh
        try:
            _reader, writer = await asyncio.open_connection(HOST, self._port)
            writer.write(message.encode(h11.Connection(h11.CLIENT)))
            writer.close()
            await writer.wait_closed()
        except OSError:
            # Cut even before the request was out: all the same to the client.
            return

    async def _converse(self, message: Message) -> Answer:
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            http = h11.Connection(h11.CLIENT)
            writer.write(message.encode(http))
            return await _read(http, reader)
        finally:
            writer.close()


async def _read(http: h11.Connection, reader: asyncio.StreamReader) -> Answer:
    content = bytearray()
    head = h11.Response(status_code=599, headers=[])
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            content += event.data
        else:
            raise ConnectionError("The connection was closed.")
    return Answer(
        status=head.status_code, body=_parse(content), cookies=_cookies(head.headers)
    )


def _parse(content: bytes) -> Mapping[str, object]:
    """Return the JSON object, or an empty one where the body is none."""
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _cookies(headers: h11.Headers) -> dict[str, str]:
    """Return the cookies that the answer sets, cleared ones with an empty value."""
    cookies = {}
    for name, value in headers:
        if name == b"set-cookie":
            for morsel in SimpleCookie(value.decode()).values():
                cookies[morsel.key] = morsel.value
    return cookies
