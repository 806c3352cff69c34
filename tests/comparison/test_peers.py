"""What docs/comparison.md says of others is what their source says."""

from __future__ import annotations

import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.comparison.page import ROOT, cells, claims, evidence, figures

INSTALLED = Path(sysconfig.get_path("purelib"))


@pytest.mark.parametrize(
    ("name", "path", "verb", "text"), list(claims()), ids=lambda part: part[:40]
)
def test_evidence_holds(name, path, verb, text):
    """Each file has, or has not, what the page quotes."""
    source = ROOT / path if (ROOT / path).exists() else INSTALLED / path

    # Prose is wrapped; what is quoted of code stands on one line.
    found = text in " ".join(source.read_text(encoding="utf-8").split())

    assert found is (verb == "says"), name


@pytest.mark.parametrize(
    ("name", "operation", "contender", "figure"),
    list(figures()),
    ids=lambda part: part[:40],
)
def test_figures_are_those_that_were_measured(name, operation, contender, figure):
    """What the page says was measured is in docs/performance.md, where SQLite is."""
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    text, _, rest = text.partition("\nOn PostgreSQL, ")
    assert rest
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    measured = {tuple(row[:2]): row[4] for row in rows if len(row) == 8} | {
        ("bytes", row[0]): row[2] for row in rows if len(row) == 3
    }

    assert measured[operation, contender] == figure, name


def test_each_cell_names_its_evidence():
    """No cell says anything without evidence, and no evidence is of no cell."""
    named = set()
    for cell in cells():
        names = [part.split("]")[0] for part in cell.split("[")[1:]]
        assert names or cell in {"not looked into", "not measured"}, cell
        named |= set(names)

    assert named == set(evidence())


def test_each_piece_of_evidence_can_be_looked_up():
    """What is no public address names a file, and what is in it."""
    looked_up = {name for name, *_rest in [*claims(), *figures()]}
    public = {name for name, text in evidence().items() if text.startswith("<https://")}

    assert looked_up | public == set(evidence())
    assert len(public) == 5


def test_the_versions_are_those_of_the_page():
    """The page names the versions that were read."""
    text = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    opening = " ".join(text.split("\n\n")[1].split())

    for package in (
        "djangorestframework-simplejwt",
        "django-rest-knox",
        "django-allauth",
        "django-oauth-toolkit",
        "supertokens-python",
    ):
        assert f"{package} {version(package)}" in opening
