"""
The readers of the SuperTokens contract: which token counts, and who may have sent it.

The oracle reads header and cookies by itself, from the bytes, and says by its own rules
what the request is worth.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from urllib.parse import unquote
from uuid import UUID

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.test import override_settings
from django.utils import timezone

from rotating_sessions.authentication import identify
from rotating_sessions.exceptions import RefreshRequired, SessionError
from rotating_sessions.fdi.anti_csrf import mint_anti_csrf
from rotating_sessions.fdi.carried import (
    carried_modes,
    carries_access_token,
    choose_mode,
    hide_cookies,
)
from rotating_sessions.fdi.incoming import read_access, read_refresh
from rotating_sessions.tokens.access import AccessClaims, encode_access
from rotating_sessions.tokens.refresh import encode_refresh
from rotating_sessions.transports import COOKIE, HEADER
from tests.fuzz.source import Source

__all__ = ["fuzz"]

ACCESS, REFRESH, LEGACY = "sAccessToken", "sRefreshToken", "sIdRefreshToken"
TOKENS = {ACCESS, REFRESH, LEGACY, "st-access-token", "st-refresh-token"}
NAMES = [*sorted(TOKENS), ACCESS.lower(), "\u2000" + ACCESS, "__Host-rs_access"]
WAYS = ["custom_header", "token", "none"]
JUNK = [
    "",
    "a",
    "a.b.c",
    "a.b",
    "a.b.c.d",
    "%2e",
    "a%2Eb%2Ec",
    "\xe9.b.c",
    '"a.b.c"',
    "%",
]
LETTERS = frozenset("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
FAMILY, OTHER = UUID(int=0x1F2E3D), UUID(int=0x4C5B6A)


@dataclass(frozen=True, kw_only=True)
class Site:
    """The settings that decide."""

    transports: tuple[str, ...]
    way: str
    samesite: str


@dataclass(frozen=True, kw_only=True)
class Minted:
    """Genuine tokens, and what they are worth: all others are worth nothing."""

    access: dict[str, tuple[UUID, bool]]
    refresh: dict[str, datetime]

    def texts(self) -> list[str]:
        """Return the tokens."""
        return [*self.access, *self.refresh]


def fuzz(data: bytes) -> None:
    """Send header and cookies of anything, or of genuine tokens and what mars them."""
    source = Source(data)
    site = Site(
        transports=source.pick([(HEADER, COOKIE), (COOKIE,), (HEADER,)]),
        way=source.pick(WAYS),
        samesite=source.pick(["Lax", "None"]),
    )
    conf = {"TRANSPORTS": site.transports, "DEFAULT_TRANSPORT": site.transports[0]}
    fdi = {"ANTI_CSRF": site.way, "COOKIE_SAMESITE": site.samesite}
    with override_settings(ROTATING_SESSIONS=conf, ROTATING_SESSIONS_FDI=fdi):
        minted = _mint(source)
        request = _request(source, minted)
        _check_access(request, site, minted)
        _check_refresh(request, site, minted)
        _check_the_rest(request, site, minted)


def _check_access(request: HttpRequest, site: Site, minted: Minted) -> None:
    try:
        bearer = read_access(request)
        found = None if bearer is None else bearer.token
    except RefreshRequired:
        found = "refresh"
    expected = _expected_access(request, site, minted)
    assert found == expected, f"{found!r}, not {expected!r}: {request.META}"


def _expected_access(request: HttpRequest, site: Site, minted: Minted) -> str | None:
    bearer = _bearer(request)
    if HEADER in site.transports and _is_shaped(bearer):
        return bearer
    values = _values(request, ACCESS) if COOKIE in site.transports else []
    if not values:
        return None
    family, is_good = minted.access.get(_spelled(values[0]), (None, False))
    if _is_by_the_browser(request):
        # Of a network that none of the tokens was minted for.
        is_good = is_good and "REMOTE_ADDR" not in request.META
        return values[0] if is_good and len(values) == 1 else None
    if len(values) > 1 or _values(request, LEGACY):
        return "refresh"
    if not _is_shaped(values[0]):
        return None
    allowed = request.method in {"GET", "HEAD"} or _may_write(request, site, family)
    return values[0] if allowed else "refresh"


def _is_by_the_browser(request: HttpRequest) -> bool:
    headers = request.headers
    wants_page = "text/html" in headers.get("Accept", "")
    is_page = wants_page and headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
    is_made = headers.get("Sec-Fetch-Dest", "empty") != "empty"
    return request.method == "GET" and (is_page or is_made)


def _may_write(request: HttpRequest, site: Site, family: UUID | None) -> bool:
    headers = request.headers
    if headers.get("Sec-Fetch-Site") == "cross-site" and site.samesite != "None":
        return False
    signs = {
        "custom_header": "rid" in headers,
        "token": family is None or headers.get("anti-csrf") == mint_anti_csrf(family),
        "none": True,
    }
    return signs[site.way]


def _check_refresh(request: HttpRequest, site: Site, minted: Minted) -> None:
    presented = read_refresh(request)
    found = None if presented is None else (presented.token, presented.mode)
    expected = None
    bearer = _bearer(request)
    values = _values(request, REFRESH) if COOKIE in site.transports else []
    if HEADER in site.transports and bearer:
        expected = bearer, HEADER
    elif values:
        # Of those that are worth the same the first.
        newest = min(values, key=lambda value: -_issued_at(value, minted))
        expected = newest, COOKIE
    assert found == expected, f"{found}, not {expected}: {request.META}"
    assert not any(token in repr(presented) for token in minted.refresh)


def _issued_at(value: str, minted: Minted) -> float:
    issued_at = minted.refresh.get(value)
    return 0 if issued_at is None else issued_at.timestamp()


def _check_the_rest(request: HttpRequest, site: Site, minted: Minted) -> None:
    """Nothing is believed that nobody signed, and no cookie is left to be shown."""
    cookies = {name for name in (ACCESS, REFRESH) if _values(request, name)}
    modes = {HEADER} if _bearer(request) else set()
    assert carried_modes(request) == modes | ({COOKIE} if cookies else set())
    assert carries_access_token(request) == bool(_bearer(request) or ACCESS in cookies)
    assert choose_mode(request) in site.transports
    request.session_reader = read_access  # type: ignore[attr-defined]
    visit = identify(request, timezone.now())
    assert visit.refusal is None or isinstance(visit.refusal, SessionError)
    ours = {family for family, _ in minted.access.values()}
    assert visit.claims is None or visit.claims.family_id in ours
    hide_cookies(request)
    assert not TOKENS & request.COOKIES.keys(), "left a cookie to be printed"


def _mint(source: Source) -> Minted:
    """Make an access token that serves, an old one, and two refresh tokens."""
    now = timezone.now()
    access = {
        _access(FAMILY, now): (FAMILY, True),
        _access(OTHER, now - timedelta(hours=1)): (OTHER, False),
    }
    refresh = {}
    for _ in range(2):
        issued_at = datetime.fromtimestamp(source.number(2**32 - 1), tz=UTC)
        fields = {"family_id": FAMILY, "generation": 7, "issued_at": issued_at}
        token = encode_refresh(**fields, user_pk="1", secret=bytes(32))  # type: ignore[arg-type]
        refresh[token] = issued_at
    return Minted(access=access, refresh=refresh)


def _access(family_id: UUID, now: datetime) -> str:
    claims = AccessClaims(
        family_id=family_id,
        generation=7,
        user_pk="1",
        issued_at=now - timedelta(minutes=1),
        expires_at=now + timedelta(minutes=1),
        auth_time=now - timedelta(minutes=5),
        networks=(),
    )
    return encode_access(claims)


def _request(source: Source, minted: Minted) -> HttpRequest:
    environ = {
        "REQUEST_METHOD": source.pick(["GET", "POST", "DELETE", "HEAD"]),
        "wsgi.input": BytesIO(),
        "HTTP_COOKIE": _cookies(source, minted).decode("latin-1"),
    }
    headers = {
        "HTTP_AUTHORIZATION": lambda: _authorization(source, minted),
        "HTTP_RID": lambda: source.pick(["session", ""]),
        "HTTP_SEC_FETCH_SITE": lambda: source.pick(["cross-site", "same-origin"]),
        "HTTP_SEC_FETCH_DEST": lambda: source.pick(["empty", "image", ""]),
        "HTTP_SEC_FETCH_MODE": lambda: source.pick(["navigate", "cors"]),
        "REMOTE_ADDR": lambda: "203.0.113.5",
        "HTTP_ACCEPT": lambda: source.pick(["text/html", "*/*"]),
        "HTTP_ANTI_CSRF": lambda: _anti_csrf(source),
        "HTTP_ST_AUTH_MODE": lambda: source.pick([HEADER, COOKIE, "any", ""]),
    }
    chosen = source.number(2 ** len(headers) - 1)
    for place, (name, value) in enumerate(headers.items()):
        if chosen >> place & 1:
            environ[name] = value()
    return WSGIRequest(environ)


def _authorization(source: Source, minted: Minted) -> str:
    if source.flag():
        return source.latin()
    scheme = source.pick(["Bearer ", "bearer", "bearer  ", "Basic ", ""])
    return scheme + _token(source, minted)


def _anti_csrf(source: Source) -> str:
    genuine = mint_anti_csrf(source.pick([FAMILY, OTHER]))
    return source.edited(genuine) if source.flag() else genuine


def _token(source: Source, minted: Minted) -> str:
    text = source.pick([*minted.texts(), *JUNK])
    return source.edited(text) if source.number(3) == 3 else text


def _cookies(source: Source, minted: Minted) -> bytes:
    way = source.number(7)
    if way == 7:
        return source.rest()
    if way == 6:
        return _mixed(source, minted)
    # Genuine ones, as where a domain has changed: up to three of one name.
    name, tokens = source.pick([(ACCESS, minted.access), (REFRESH, minted.refresh)])
    chosen = [source.pick(list(tokens)) for _ in range(1 + way % 3)]
    pairs = [*(f"{name}={token}" for token in chosen), f"{LEGACY}=a"]
    return "; ".join(pairs if source.flag() else pairs[:-1]).encode()


def _mixed(source: Source, minted: Minted) -> bytes:
    raw = b""
    for _ in range(source.number(4)):
        name = source.pick(NAMES).encode() if source.number(7) else source.some()
        raw += source.pick([b"", b" ", b"\t"]) + name + source.pick([b"=", b"= ", b""])
        raw += _token(source, minted).encode() + source.pick([b"; ", b";", b",", b" ;"])
    return raw


def _bearer(request: HttpRequest) -> str:
    header = request.META.get("HTTP_AUTHORIZATION", "")
    is_bearer = header[:7].lower() == "bearer " and len(header) > 7
    return header[7:].strip() if is_bearer else ""


def _values(request: HttpRequest, name: str) -> list[str]:
    """Return the values of exactly this name, by the rule of RFC 6265 alone."""
    raw = request.META["HTTP_COOKIE"].encode("latin-1")
    pairs = [chunk.strip(b" \t").split(b"=", 1) for chunk in raw.split(b";")]
    alike = [pair[1] for pair in pairs if len(pair) == 2 and pair[0] == name.encode()]
    return [unquote(value.decode("utf-8", "replace")) for value in alike if value]


def _spelled(token: str) -> str:
    """Return a token as we spell it: base64 has four ways to write one signature."""
    covered, _, tag = token.rpartition(".")
    try:
        raw = urlsafe_b64decode(f"{tag}{'=' * (-len(tag) % 4)}")
    except ValueError:
        return token
    return f"{covered}.{urlsafe_b64encode(raw).rstrip(b'=').decode()}"


def _is_shaped(token: str) -> bool:
    parts = token.split(".")
    return len(parts) == 3 and all(part and LETTERS.issuperset(part) for part in parts)
