"""A new project, made of README's quick start and of the lines of a how-to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

_REST = """
ALLOWED_HOSTS = ["testserver"]
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
"""


def blocks(page: str, heading: str | None = None) -> list[tuple[str, str]]:
    """Return the file names and lines of a page's Python blocks, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if heading is not None:
        text = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```python\n# (\w+)\.py\n(.*?)```", text, re.DOTALL)


class Site:
    """A project in a folder of its own, as `startproject` makes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = ("DJANGO", "COV_")
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(names)
        }
        self.env["PYTHONPATH"] = str(ROOT)
        self.run("-m", "django", "startproject", "site_of_mine", ".")
        settings = self.folder / "site_of_mine" / "settings.py"
        settings.write_text(settings.read_text() + _REST)
        self.paste(*blocks("README.md")[:2])

    def paste(self, *lines: tuple[str, str]) -> None:
        """Add lines to the end of files, which need not be there."""
        for name, text in lines:
            with (self.folder / "site_of_mine" / f"{name}.py").open("a") as file:
                file.write("\n" + text)

    def shell(self, code: str) -> str:
        """Return what code prints in the project, on a database of its own."""
        self.run("manage.py", "migrate", "-v0")
        return self.run("manage.py", "shell", "-v0", "-c", code)

    def run(self, *command: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own lines
            [sys.executable, "-W", "ignore", *command],
            cwd=self.folder,
            env=self.env,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
