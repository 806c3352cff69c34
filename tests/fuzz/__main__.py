"""
Fuzz one target with atheris, guided by coverage.

    python -m tests.fuzz TARGET [FOLDER] -max_total_time=600    fuzz, for ten minutes
    python -m tests.fuzz TARGET FILE                            replay one input
    python -m tests.fuzz TARGET -merge=1 tests/fuzz/corpus/TARGET FOLDER    keep the new

It starts from the committed corpus and puts what it finds into the folder, or into one
of its own. Other options are libFuzzer's.
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
    # In memory, whatever database the suite runs on.
    os.environ["DATABASE_URL"] = "sqlite://:memory:"
    with atheris.instrument_imports(include=_INSTRUMENTED):
        django.setup()
        from tests.fuzz.targets import NEED_DATABASE, TARGETS  # noqa: PLC0415 - set up

    name, *options = sys.argv[1:]
    if name in NEED_DATABASE:
        _make_database()
    paths = [Path(each) for each in options if not each.startswith("-")]
    if not paths:
        options.append(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    if not any(path.is_file() for path in paths):
        options.append(str(_CORPUS / name))
    # What breaks a promise is put beside what leads to new code.
    beside = [f"-artifact_prefix={path}/" for path in options if Path(path).is_dir()]
    atheris.Setup([sys.argv[0], *_DEFAULTS, *beside[:1], *options], TARGETS[name])
    atheris.Fuzz()


def _make_database() -> None:
    """Make an empty database in memory, as Django's own test runner does."""
    from django.conf import settings  # noqa: PLC0415
    from django.test.utils import setup_databases  # noqa: PLC0415

    settings.DATABASES["default"]["TEST"]["NAME"] = None
    setup_databases(verbosity=0, interactive=False)


if __name__ == "__main__":
    _main()
