"""
Fuzz one target with atheris, guided by coverage: `python -m tests.fuzz TARGET`.

What follows goes to libFuzzer: `-max_total_time=600`, `-runs=10000`, or a file to
replay. It starts from the committed corpus; what it adds goes to a folder of its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris
import django

__all__: list[str] = []

_CORPUS = Path(__file__).parent / "corpus"
_INSTRUMENTED = ["rotating_sessions", "jwt", "python_ipware", "tests.fuzz"]
# Long inputs from the start: a short one is read as a request full of zeros.
_DEFAULTS = ["-len_control=0", "-max_len=1024"]


def _main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    with atheris.instrument_imports(include=_INSTRUMENTED):
        django.setup()
        from tests.fuzz.targets import NEED_DATABASE, TARGETS  # noqa: PLC0415 - after setup

    name, *options = sys.argv[1:]
    if name in NEED_DATABASE:
        _make_database()
    files = [each for each in options if not each.startswith("-")]
    if not files:
        found = tempfile.mkdtemp(prefix=f"fuzz-{name}-")
        options += [f"-artifact_prefix={found}/", found, str(_CORPUS / name)]
    atheris.Setup([sys.argv[0], *_DEFAULTS, *options], TARGETS[name])
    atheris.Fuzz()


def _make_database() -> None:
    """Make an empty database in memory, as Django's own test runner does."""
    from django.conf import settings  # noqa: PLC0415
    from django.test.utils import setup_databases  # noqa: PLC0415

    settings.DATABASES["default"]["TEST"]["NAME"] = None
    setup_databases(verbosity=0, interactive=False)


if __name__ == "__main__":
    _main()
