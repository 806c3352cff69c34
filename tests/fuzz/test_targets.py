"""No input of the corpus, and none that Hypothesis finds, breaks a promise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import figures
from tests.fuzz.targets import NEED_DATABASE, TARGETS

pytestmark = pytest.mark.django_db

CORPUS = Path(__file__).parent / "corpus"
# Inputs of each target; those that ask the whole site take a few milliseconds each.
BOUNDED = {False: 300, True: 50}
DEEP = 20
LONGEST = 400


def seeds(name: str) -> list[bytes]:
    """Return the committed inputs of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def inputs(name: str) -> st.SearchStrategy[bytes]:
    """Return bytes, short or long, and seeds that go on as other bytes."""
    # Drawn byte by byte, most would be short, and a short one reads as zeros.
    long = st.binary(min_size=LONGEST, max_size=LONGEST)
    drawn = st.binary(max_size=LONGEST) | long
    seed = st.sampled_from(seeds(name))
    grown = st.tuples(seed, st.integers(0, LONGEST), drawn)
    return drawn | grown.map(lambda parts: parts[0][: parts[1]] + parts[2])


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_stays_mended(target):
    """What once went wrong, and what is a likely way to go wrong, does not."""
    for data in seeds(target):
        TARGETS[target](data)
        figures.count("corpus inputs")


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_a_promise(target, deep):
    """JV-12: Parsers and endpoints answer anything as documented, and never fail."""
    count = BOUNDED[target in NEED_DATABASE] * (DEEP if deep else 1)
    fuzz: Callable[[bytes], None] = TARGETS[target]

    @settings(
        max_examples=count,
        derandomize=not deep,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=inputs(target))
    def promise(data: bytes) -> None:
        figures.count(f"inputs fuzzed: {target}")
        fuzz(data)

    promise()


def test_each_target_has_a_corpus():
    """A folder of seeds for each target, and no folder without one."""
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
