"""
What is published, looked into, and installed where nothing else is.

    python -m tests.package FOLDER

FOLDER holds one wheel and one source distribution, as `python -m build` makes them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent.parent
PACKAGE = "rotating_sessions"
# What no site needs, and what builds leave behind.
FOREIGN = re.compile(r"(^|/)(tests?|benchmarks|example_project|\..*|__pycache__)(/|$)")
DATABASE = """
DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE"}
"""


def main() -> None:
    """Say what is in the distributions, and fail where that is not as it should be."""
    folder = Path(sys.argv[1])
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    print(f"figure: files in the wheel: {look_into_wheel(wheel)}")
    print(f"figure: files in the source distribution: {look_into_source(source)}")
    with tempfile.TemporaryDirectory() as place:
        print(f"figure: packages beside it: {install(wheel, Path(place))}")


def look_into_wheel(wheel: Path) -> int:
    """Return how many files it has: all of the package's, and nothing beside them."""
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (about,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(about).decode())
    info = about.partition("/")[0]
    shipped = {name for name in names if not name.startswith(info)}
    kept = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expect(shipped == kept, f"differs from the source: {sorted(shipped ^ kept)}")
    expect(not any(map(FOREIGN.search, names)), "holds what is not the package's")
    for needed in (
        f"{PACKAGE}/py.typed",
        f"{PACKAGE}/locale/de/LC_MESSAGES/django.mo",
        f"{PACKAGE}/static/{PACKAGE}/client.js",
        f"{PACKAGE}/templates/{PACKAGE}/base.html",
        f"{PACKAGE}/migrations/0001_initial.py",
        f"{info}/licenses/LICENSE",
    ):
        expect(needed in names, f"lacks {needed}")
    extras = project()["optional-dependencies"]
    named = set(metadata.get_all("Provides-Extra", []))
    expect(named == set(extras), f"names the extras {named}")
    return len(names)


def look_into_source(source: Path) -> int:
    """Return how many files it has: enough to build the wheel, and to test it."""
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in (
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "tox.ini",
        "tests/urls.py",
    ):
        expect(needed in names, f"the source distribution lacks {needed}")
    return len(names)


def install(wheel: Path, place: Path) -> int:
    """
    Return with how many packages it comes to an environment that had none.

    There `check` and `migrate` pass for a project of README's quick start.
    """
    venv.create(place / "venv", with_pip=True)
    python = str(place / "venv" / "bin" / "python")
    site = place / "site"
    site.mkdir()

    def run(*command: str) -> str:
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DJANGO", "PYTHON"))
        }
        done = subprocess.run(  # noqa: S603 - our own lines
            [python, *command],
            cwd=site,
            env=env,
            check=False,
            capture_output=True,
            text=True,
        )
        expect(done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    run("-m", "pip", "install", "--quiet", str(wheel))
    run("-m", "pip", "check")
    frozen = run("-m", "pip", "freeze").splitlines()
    run("-m", "django", "startproject", "mysite", ".")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("settings", "urls"):
        pasted = re.search(rf"```python\n# {name}\.py\n(.*?)```", readme, re.DOTALL)
        with (site / "mysite" / f"{name}.py").open("a") as file:
            file.write("\n" + pasted[1] if pasted else "")
    with (site / "mysite" / "settings.py").open("a") as file:
        file.write(DATABASE)
    checked = run("manage.py", "check", "--fail-level", "INFO")
    expect("no issues (0 silenced)" in checked, checked)
    run("manage.py", "migrate", "-v0")
    run("manage.py", "rotating_sessions_purge")
    own = run("-c", f"import {PACKAGE}; print({PACKAGE}.__file__)")
    expect(str(place) in own, f"imports {own}")
    return len(frozen) - 1


def project() -> dict[str, dict[str, list[str]]]:
    """Return the project's table of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, dict[str, list[str]]] = tomllib.loads(text)["project"]
    return found


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001
    """Fail unless it holds."""
    if not holds:
        raise SystemExit(f"The distribution {otherwise}")


if __name__ == "__main__":
    main()
