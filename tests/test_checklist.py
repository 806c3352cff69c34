"""SECURITY.md lists every security requirement, and each that applies has a test."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# How many requirements there are of each kind, numbered from 1.
SIZES = {
    "TF": 9, "JV": 13, "CK": 11, "CS": 10, "HC": 7, "RT": 16, "RV": 12, "AC": 12,
    "AD": 9, "TH": 10, "LG": 6, "KM": 7, "IP": 7, "DB": 9, "DP": 5,
}  # fmt: skip
IDS = [f"{kind}-{n:02}" for kind, size in SIZES.items() for n in range(1, size + 1)]
# `CK-01`, or from `CK-01 to CK-03`.
NAMED = re.compile(r"\b([A-Z]{2})-(\d{2})\b(?: to \1-(\d{2})\b)?")
ROW = re.compile(r"^\| ([A-Z]{2}-\d{2}) \| (.+) \| (.+) \|$", re.MULTILINE)
DOES_NOT_APPLY = "does not apply"


def rows() -> list[tuple[str, str, str]]:
    """Return the rows of SECURITY.md's tables: id, requirement, how it is met."""
    return ROW.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8"))


def named_in(text: str) -> Iterator[str]:
    """Return the ids that a text names, alone or as a span."""
    for kind, first, last in NAMED.findall(text):
        for number in range(int(first), int(last or first) + 1):
            yield f"{kind}-{number:02}"


def functions_of(source: str) -> Iterator[tuple[str, str]]:
    """Return each test of a module with its docstring."""
    for node in ast.walk(ast.parse(source)):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and node.name.startswith("test"):
            yield node.name, ast.get_docstring(node) or ""


@cache
def claims() -> list[tuple[str, str]]:
    """Return each id that a test names, with the test."""
    return [
        (id_, f"{path.relative_to(ROOT).as_posix()}::{name}")
        for folder in ("tests", "example_project")
        for path in sorted((ROOT / folder).rglob("test_*.py"))
        for name, docstring in functions_of(path.read_text(encoding="utf-8"))
        for id_ in named_in(docstring)
    ]


def test_every_requirement_is_listed_once() -> None:
    """SECURITY.md has one row for each of the 143 requirements, and no other."""
    listed = Counter(id_ for id_, _, _ in rows())

    missing = [id_ for id_ in IDS if id_ not in listed]
    unknown = [id_ for id_ in listed if id_ not in IDS]
    twice = [id_ for id_, times in listed.items() if times > 1]

    assert len(IDS) == 143
    assert not missing, f"not in SECURITY.md: {missing}"
    assert not unknown, f"in SECURITY.md, and yet unknown here: {unknown}"
    assert not twice, f"in SECURITY.md more than once: {twice}"


@pytest.mark.parametrize(
    ("id_", "met_by"), [pytest.param(id_, how, id=id_) for id_, _, how in rows()]
)
def test_a_requirement_is_tested_or_does_not_apply(id_: str, met_by: str) -> None:
    """A row that applies is shown by tests, and any other says why it does not."""
    if met_by.lower().startswith(DOES_NOT_APPLY):
        reason = met_by[len(DOES_NOT_APPLY) :].strip(" :")
        assert len(reason.split()) >= 3, f"{id_} does not apply, but why?"
    else:
        tests = [test for named, test in claims() if named == id_]
        assert tests, f"no test's docstring names {id_}"


def test_no_test_names_a_requirement_that_does_not_exist() -> None:
    """What looks like the id of a requirement in a test's docstring is one."""
    unknown = [f"{test} names {id_}" for id_, test in claims() if id_ not in IDS]

    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize(
    ("docstring", "ids"),
    [
        ("CK-01: A fact.", ["CK-01"]),
        ("A fact (CK-01, RT-12).", ["CK-01", "RT-12"]),
        ("CK-03 to CK-05: A fact, I-21.", ["CK-03", "CK-04", "CK-05"]),
        ("A fact in UTF-16 and ES-256.", []),
    ],
)
def test_ids_are_read_from_docstrings(docstring: str, ids: list[str]) -> None:
    """A docstring names requirements alone, in a list or as a span."""
    assert list(named_in(docstring)) == ids


def test_tests_are_found_wherever_they_stand() -> None:
    """A test counts in a module, in a class and as a coroutine; a helper does not."""
    source = '''
def test_one():
    """CK-01: One."""

class TestMany:
    async def test_two(self):
        """CK-02: Two."""

def helper():
    """CK-03: No test."""
'''

    assert list(functions_of(source)) == [
        ("test_one", "CK-01: One."),
        ("test_two", "CK-02: Two."),
    ]
