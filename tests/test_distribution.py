"""What the package depends on, and what it says about its security."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def dependencies() -> dict[str, str]:
    """Return the lowest version of each requirement, as pyproject.toml states it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    requirements = chain(project["dependencies"], *extras)
    return dict(requirement.split(">=") for requirement in requirements)


def version(text: str) -> tuple[int, ...]:
    numbers = tuple(map(int, text.split(".")))
    return numbers + (0,) * (3 - len(numbers))


def test_lowest_versions_are_tested():
    """DP-01: `tox -e lowest` pins each requirement to the floor that is promised."""
    tox = (ROOT / "tox.ini").read_text()
    pins = dict(re.findall(r"^    lowest: (.+)==(.+)$", tox, re.MULTILINE))

    floors = {name: version(floor) for name, floor in dependencies().items()}

    assert {name: version(pin) for name, pin in pins.items()} == floors
    assert floors["PyJWT"] >= (2, 13, 0)


def test_each_supported_django_is_tested():
    """DP-01: tox has an environment for each Django that the classifiers name."""
    project = (ROOT / "pyproject.toml").read_text()
    tox = (ROOT / "tox.ini").read_text()

    promised = re.findall(r'"Framework :: Django :: (\d+\.\d+)"', project)
    tested = re.findall(r"^    django\d+: Django~=(\d+\.\d+)\.0$", tox, re.MULTILINE)

    assert len(promised) == 3
    assert promised == tested


def test_no_cryptography_package_is_needed():
    """DP-02: The tokens are made and read where `cryptography` cannot be imported."""
    blocked = (
        "import sys; sys.modules['cryptography'] = None; "
        "from rotating_sessions.tokens import access, keys, refresh"
    )

    subprocess.run([sys.executable, "-c", blocked], cwd=ROOT, check=True)  # noqa: S603

    assert not any("[" in name for name in dependencies())


def test_security_policy_says_what_a_reporter_has_to_know():
    """DP-03: SECURITY.md says which versions, how to report, and what comes of it."""
    policy = (ROOT / "SECURITY.md").read_text()
    headings = set(re.findall("^## (.+)$", policy, re.MULTILINE))

    assert headings >= {
        "Supported versions",
        "Reporting a vulnerability",
        "What counts",
    }
    for promise in ("privately", "security advisories", "working days", "credit"):
        assert promise in policy
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text()


def test_each_app_of_contrib_is_an_extra():
    """What an app of `contrib` needs is installed by an extra of its name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folder = ROOT / "rotating_sessions" / "contrib"
    apps = {path.parent.name for path in folder.glob("*/apps.py")}

    assert apps <= set(project["optional-dependencies"])
    readme = (ROOT / "README.md").read_text().split("\n## Quick start\n")[1]
    assert all(f"`{app}`" in readme.split("\n## ")[0] for app in apps)


def test_a_release_needs_no_password():
    """PyPI trusts the workflow: the job that may ask for a token runs nothing else."""
    workflow = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "release.yml").read_text()
    )
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]

    assert workflow["permissions"] == {}
    assert build["permissions"] == {"contents": "read"}
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == "build"
    assert publish["environment"]["name"] == "pypi"
    assert not any("run" in step for step in publish["steps"])
    assert "secrets." not in str(workflow)
    assert "tox run -e package -- dist" in [step.get("run") for step in build["steps"]]
