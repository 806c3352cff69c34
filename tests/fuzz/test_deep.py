"""The targets under atheris, which goes where new code runs."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import figures
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parent.parent.parent
# PyPI has atheris for no other machine; tox.ini says the same.
RUNS_HERE = sys.platform == "linux" and platform.machine() == "x86_64"
# To see that the way in works, and without a database, which takes time to make.
BOUNDED = ["cookie"]
SECONDS = {False: 3, True: 60}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every target its time with --deep, and else one of them a moment."""
    deep = metafunc.config.getoption("--deep")
    metafunc.parametrize("target", TARGETS if deep else BOUNDED)


@pytest.mark.skipif(not RUNS_HERE, reason="there is no atheris for this machine")
def test_coverage_leads_to_no_broken_promise(target, deep, tmp_path):
    """Nothing that atheris finds its way to breaks what a target promises."""
    command = [sys.executable, "-m", "tests.fuzz", target, str(tmp_path)]
    command += [f"-max_total_time={SECONDS[deep]}", "-print_final_stats=1"]

    done = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=ROOT,
        capture_output=True,
        check=False,
    )

    output = done.stderr.decode(errors="replace")
    assert done.returncode == 0, output[-4000:]
    runs = re.search(r"number_of_executed_units: (\d+)", output)
    assert runs, output[-4000:]
    figures.count(f"inputs fuzzed: {target}, by atheris", int(runs[1]))
