"""
A small site beside big ones: `python -m benchmarks.scale --families N N N`.

Each size has a PostgreSQL database of its own. All are filled first; then each has its
turn in every round, so that load of the machine hits all alike. Nothing is measured
but what a site would do: through the services, or through the whole of Django, from
WSGI to WSGI, with no network.
"""

from __future__ import annotations

import gc
import json
import os
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

import django


def _read_options() -> Namespace:
    parser = ArgumentParser(prog="benchmarks.scale")
    parser.add_argument(
        "--families",
        type=int,
        nargs="+",
        default=[10_000, 1_000_000, 10_000_000],
        help="the sizes, each 10,000 or more",
    )
    parser.add_argument(
        "--rounds", type=int, default=40, help="turns of each size, 45 at most"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="take the databases that are there, and leave them",
    )
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


_options = _read_options()
os.environ["SCALE_FAMILIES"] = " ".join(map(str, sorted(set(_options.families))))
os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.scale.settings"
django.setup()

from benchmarks.beside.application import Application  # noqa: E402 - set up, now
from benchmarks.beside.machine import describe_surroundings  # noqa: E402
from benchmarks.scale.holders import draw_holders, push_out, revoke_some  # noqa: E402
from benchmarks.scale.sites import Site, open_sites  # noqa: E402
from benchmarks.scale.table import build_rows, format_rows  # noqa: E402
from benchmarks.scale.turns import HOLDERS_OF_A_TURN, REVOKED, Turns  # noqa: E402
from benchmarks.scale.weight import format_weights, time_purge, time_walk, weigh  # noqa: E402

# By the names on the index.
_DISTRIBUTIONS = ("django-rotating-sessions", "Django", "djangorestframework", "PyJWT")
_MIDDLEWARE = "rotating_sessions.middleware.RotatingSessionMiddleware"


def main() -> None:
    """Measure, and print what came of it."""
    with open_sites(keep=_options.keep) as sites:
        surroundings = describe_surroundings(_DISTRIBUTIONS)
        rows = build_rows(_measure(sites, _options.rounds))
        weights = [weigh(site) for site in sites]
        walk, purged = time_walk(sites[0]), time_purge(sites[-1])
    for name, value in surroundings.items():
        print(f"{name}: {value}")
    print(f"rounds: {_options.rounds}", format_rows(rows), sep="\n\n", end="\n\n")
    print(format_weights(weights), end="\n\n")
    print(f"a purge looks at a session that it leaves alone for {walk:.1f} us")
    print(f"and deletes {purged:,.0f} sessions a second of the biggest site")
    if _options.json:
        figures = {
            "surroundings": surroundings,
            "rounds": _options.rounds,
            "rows": [{**asdict(row), "ratios": row.ratios} for row in rows],
            "weights": [asdict(each) for each in weights],
            "walk": walk,
            "purged": purged,
        }
        _options.json.write_text(json.dumps(figures, indent=2))


def _measure(sites: list[Site], rounds: int) -> list[Turns]:
    application = Application(_MIDDLEWARE)
    turns = [Turns(site, application) for site in sites]
    for site in sites:
        revoke_some(site, REVOKED)
    # One round more, in which everything is warmed up.
    drawn = (rounds + 1) * HOLDERS_OF_A_TURN
    holders = [iter(draw_holders(site, drawn)) for site in sites]
    pairs = list(zip(turns, holders, strict=True))
    for each, own in pairs:
        each.take(own)
        each.milliseconds.clear()
    push_out(sites[-1])
    gc.collect()
    gc.freeze()
    gc.disable()
    for number in range(rounds):
        start = number % len(pairs)
        for each, own in pairs[start:] + pairs[:start]:
            each.take(own)
        gc.collect()
    gc.enable()
    return turns


if __name__ == "__main__":
    main()
