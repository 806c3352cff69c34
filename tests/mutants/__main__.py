"""
Run the mutants and print who survived: `python -m tests.mutants [--deep]`.

Deep: all mutants of the rules and the codecs, and those of the services that tell most.
Bounded: of the rules and the codecs one in four of those that tell most. Fails for a
survivor that `survivors` does not explain.
"""

from __future__ import annotations

import argparse
import os
import queue
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutation import Mutant, find_mutants
from tests.mutants.survivors import explanations
from tests.mutants.targets import CODECS_AND_RULES, SERVICES, Target, is_telling

# Seconds. The tests of one target take a few; whoever makes them hang is noticed.
_TIMEOUT = 120.0
_COPIED = ("pyproject.toml", "rotating_sessions", "tests", "example_project", "docs")


@dataclass(frozen=True, slots=True)
class _Run:
    """Which mutants of a target are made: one in `step`, by the operators wanted."""

    target: Target
    wanted: Callable[[str], bool] = lambda _operator: True
    step: int = 1


def main() -> int:
    """Return the exit status: 1 where a mutant survived unexplained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deep", action="store_true", help="services, too")
    parser.add_argument("--only", default="", metavar="TEXT", help="modules with TEXT")
    options = parser.parse_args()
    # Each copy has a database of its own, in its own folder.
    os.environ.pop("TOX_ENV_DIR", None)
    if options.deep:
        runs = [_Run(target) for target in CODECS_AND_RULES]
        runs += [_Run(target, is_telling) for target in SERVICES]
    else:
        runs = [_Run(target, is_telling, step=4) for target in CODECS_AND_RULES]
    chosen = [run for run in runs if options.only in run.target.module]
    with _copies(os.cpu_count() or 1) as copies:
        _make_sure_that_tests_pass([run.target for run in chosen], copies)
        outcomes = [_judge(run, copies) for run in chosen]
    total = sum(outcomes, Counter())
    for kind in ("killed", "survived, explained", "survived"):
        print(f"figure: mutants {kind}: {total[kind]:,}")
    return 1 if total["survived"] else 0


def _judge(run: _Run, copies: queue.Queue[Path]) -> Counter[str]:
    target, explained = run.target, explanations()
    mutants = list(find_mutants(Path(target.module), run.wanted))[:: run.step]
    outcome: Counter[str] = Counter()
    with ThreadPoolExecutor(copies.qsize()) as pool:
        alive = pool.map(lambda mutant: _survives(mutant, target, copies), mutants)
        for mutant, survived in zip(mutants, alive, strict=True):
            kind = "killed"
            if survived:
                reason = explained.get((target.module, mutant.change))
                kind = "survived, explained" if reason else "survived"
                print(f"{kind}: {target.module}: {mutant.change}", flush=True)
            outcome[kind] += 1
    print(f"{target.module}: {dict(outcome)}", flush=True)
    return outcome


def _survives(mutant: Mutant, target: Target, copies: queue.Queue[Path]) -> bool:
    project = copies.get()
    try:
        return mutant.survives(project, _command(project, target), _TIMEOUT)
    finally:
        copies.put(project)


def _command(project: Path, target: Target) -> str:
    files = [str(project / test) for test in target.tests]
    words = ["-x", "-q", "-p", "no:cacheprovider", f"--rootdir={project}"]
    return shlex.join([sys.executable, "-m", "pytest", *words, *files])


def _make_sure_that_tests_pass(
    targets: list[Target], copies: queue.Queue[Path]
) -> None:
    """Run the tests on the unchanged code: where they fail, every mutant looks dead."""
    project = copies.get()
    for target in targets:
        command = shlex.split(_command(project, target))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    copies.put(project)


@contextmanager
def _copies(count: int) -> Iterator[queue.Queue[Path]]:
    """Lend copies of the project, which cosmic-ray mutates in place."""
    copies: queue.Queue[Path] = queue.Queue()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            project = Path(folder) / str(number)
            project.mkdir()
            for name in _COPIED:
                path = Path(name)
                copy = shutil.copytree if path.is_dir() else shutil.copy
                copy(path, project / name)
            copies.put(project)
        yield copies


if __name__ == "__main__":
    sys.exit(main())
