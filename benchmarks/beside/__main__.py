"""
Us beside other ways to authenticate: `python -m benchmarks.beside`.

All contenders share one process, one Django project and one database of its own, and
have their turns in rounds. Requests go through the whole of Django, from WSGI to WSGI,
with no network. Each contender has the middleware that it needs and no throttle.
Whoever answers what it should not have ends the run.
"""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.beside.settings"
django.setup()

from benchmarks.beside.alone import measure_middleware  # noqa: E402 - once Django is set up
from benchmarks.beside.contenders import create_users  # noqa: E402
from benchmarks.beside.growth import format_growth, measure_growth  # noqa: E402
from benchmarks.beside.machine import describe_surroundings  # noqa: E402
from benchmarks.beside.measuring import measure  # noqa: E402
from benchmarks.beside.peers import list_contenders  # noqa: E402
from benchmarks.beside.table import build_rows, format_rows  # noqa: E402
from benchmarks.beside.visit import format_visits, measure_visits  # noqa: E402
from benchmarks.scratch import scratch_database  # noqa: E402

_US = "rotating_sessions"
# By the names on the index.
_DISTRIBUTIONS = (
    "django-rotating-sessions",
    "Django",
    "djangorestframework",
    "PyJWT",
    "djangorestframework-simplejwt",
    "django-allauth",
    "django-oauth-toolkit",
    "django-rest-knox",
    "supertokens-python",
)


def main() -> None:
    """Measure, and print what came of it."""
    options = _read_options()
    with scratch_database():
        create_users()
        surroundings = describe_surroundings(_DISTRIBUTIONS)
        contenders = list_contenders()
        rows = build_rows(measure(contenders, options.rounds))
        ours = next(each for each in contenders if each.name == _US)
        alone = measure_middleware(ours, options.rounds)
        visits = measure_visits(ours, options.visits)
        growth = measure_growth(contenders, options.refreshes)
    for name, value in surroundings.items():
        print(f"{name}: {value}")
    print(f"rounds: {options.rounds}", format_rows(rows), sep="\n\n", end="\n\n")
    print(f"Our middleware by itself, repeated token: {alone:.1f} µs", end="\n\n")
    print(format_visits(visits), format_growth(growth), sep="\n\n")
    if options.json:
        figures = {
            "surroundings": surroundings,
            "rounds": options.rounds,
            "rows": [asdict(row) for row in rows],
            "middleware": alone,
            "visits": [{**asdict(each), "share": each.share} for each in visits],
            "bytes": growth,
        }
        options.json.write_text(json.dumps(figures, indent=2))


def _read_options() -> Namespace:
    parser = ArgumentParser(prog="benchmarks.beside")
    parser.add_argument(
        "--rounds", type=int, default=100, help="turns of each, at least 2"
    )
    parser.add_argument(
        "--visits", type=int, default=20, help="of 300 requests each, to each view"
    )
    parser.add_argument(
        "--refreshes",
        type=int,
        nargs="+",
        default=[10, 100],
        help="of a session, before its bytes are counted",
    )
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
