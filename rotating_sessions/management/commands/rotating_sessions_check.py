"""Say which address the app believes a request to have, and whether it looks right."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.http import HttpRequest

from rotating_sessions.addresses import (
    Ground,
    Problem,
    Seen,
    Suspicion,
    judge_addresses,
    see_request,
)
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import Unavailable
from rotating_sessions.services import read_last_addresses

# Sessions looked at: a busy hour of a large site, all of a small one.
_SAMPLE = 1000

_GROUNDS = {
    Ground.NO_PROXY: "no proxy is trusted: whoever is connected is the client",
    Ground.COUNTED: "TRUSTED_PROXY_COUNT is {count}: {count} from the right",
    Ground.LISTED: "it is who the outermost of TRUSTED_PROXIES saw",
    Ground.PAST_PROXIES: "it did not come through all of TRUSTED_PROXIES, each in its "
    "place: whoever is connected is the client",
    Ground.UNKNOWN: "there is no hop as far away as settings say, or it is no address",
}


class Command(BaseCommand):
    """Show the address of one request, or judge those of the sessions last seen."""

    help = (
        "Shows which address the app believes a request to have, and why. Without "
        "--remote-addr and --header it looks at the live sessions last seen, and tells "
        "when their addresses look like those of a proxy. Exits with 1 if something "
        "looks wrong, and with 2 if nothing can be told."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--remote-addr",
            help="REMOTE_ADDR of the request: who is connected. Servers on a Unix "
            "socket leave it empty.",
        )
        parser.add_argument(
            "--header",
            action="append",
            type=_header,
            default=[],
            help='A header of the request, such as "X-Forwarded-For: 203.0.113.7"; '
            "can be given several times.",
        )
        parser.add_argument(
            "--database",
            choices=tuple(connections),
            help="The database of the sessions (default: where the site writes them).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Show one request, or judge the sessions."""
        if options["remote_addr"] is None and not options["header"]:
            self._judge(options["database"])
        else:
            self._show(_build_request(options["remote_addr"], options["header"]))

    def _show(self, request: HttpRequest) -> None:
        seen = see_request(request)
        because = _GROUNDS[seen.ground].format(count=get_conf().trusted_proxy_count)
        self.stdout.write(f"Address:  {seen.client.ip_address or 'unknown'}")
        self.stdout.write(f"Bound to: {_describe_binding(seen)}")
        self.stdout.write(f"Because:  {because}.")
        if seen.ignored:
            ignored = ", ".join(seen.ignored)
            self.stdout.write(f"Ignored:  {ignored}: anybody could have written it.")
        if seen.ground is Ground.UNKNOWN:
            raise CommandError(_advise(Problem.UNKNOWN))
        if seen.is_doubtful:
            raise CommandError(
                f"{seen.client.ip_address} looks like a proxy of yours, and not like "
                f"a client. {_advise(Problem.SHARED)}"
            )

    def _judge(self, using: str | None) -> None:
        try:
            sessions = read_last_addresses(_SAMPLE, using=using)
        except Unavailable as error:
            raise CommandError("The database failed.", returncode=2) from error
        if not sessions:
            raise CommandError(
                "There is no live session to judge by. Log in, or show one request "
                "with --remote-addr and --header.",
                returncode=2,
            )
        suspicion = judge_addresses(sessions)
        if suspicion is not None:
            raise CommandError(f"{_describe(suspicion)} {_advise(suspicion.problem)}")
        users = len({user for user, _address in sessions})
        addresses = len({address for _user, address in sessions})
        self.stdout.write(
            self.style.SUCCESS(
                f"Nothing looks wrong: the {len(sessions):,} session(s) last seen are "
                f"of {users:,} user(s), at {addresses:,} address(es)."
            )
        )


def _build_request(
    remote_addr: str | None, headers: list[tuple[str, str]]
) -> HttpRequest:
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = remote_addr or ""
    for name, value in headers:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        # As servers join a header that is sent twice.
        given = request.META.get(key)
        request.META[key] = value if given is None else f"{given},{value}"
    return request


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(text)
    return name.strip(), value.strip()


def _describe_binding(seen: Seen) -> str:
    if not get_conf().bind_network:
        return "nothing: BIND_NETWORK is off"
    return seen.client.network or "nothing: it serves any network"


def _describe(suspicion: Suspicion) -> str:
    share = f"{suspicion.users:,} of the {suspicion.all_users:,} user(s) last seen"
    if suspicion.problem is Problem.UNKNOWN:
        return f"{share} have no address: nobody of them is bound to a network."
    return (
        f"{share} are at {suspicion.address}. Unless that is the one door of an office "
        "that all of them sit in, it is a proxy, and not a client."
    )


def _advise(problem: Problem) -> str:
    """Return which setting to change: which one is wrong depends on those there are."""
    conf = get_conf()
    unknown = problem is Problem.UNKNOWN
    if conf.trusted_proxies:
        return (
            "TRUSTED_PROXIES has to name every proxy in front of Django, the outermost "
            "first, and each has to append to X-Forwarded-For."
        )
    if conf.trusted_proxy_count:
        what = "lower" if unknown else "raise"
        few = "fewer" if unknown else "more"
        return (
            f"If {few} than {conf.trusted_proxy_count} proxies append to "
            f"X-Forwarded-For, {what} TRUSTED_PROXY_COUNT."
        )
    return (
        "Set TRUSTED_PROXY_COUNT to the number of proxies in front of Django that "
        "append to X-Forwarded-For, or TRUSTED_PROXIES to their addresses."
    )
