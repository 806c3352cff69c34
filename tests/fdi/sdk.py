"""The SDK as its developers publish it, in one script that a page can load."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["build_sdk"]

_HERE = Path(__file__).parent


def build_sdk(script: Path) -> None:
    """
    Have npm fetch the versions that the lock file pins, and write the script.

    Raises:
        CalledProcessError: npm or esbuild failed, and has said why.
    """
    with TemporaryDirectory(prefix="rotating-sessions-sdk-") as name:
        folder = Path(name)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(_HERE / file, folder)
        _run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        _run(
            folder,
            "node_modules/.bin/esbuild",
            "node_modules/supertokens-website/index.js",
            *("--bundle", "--format=iife", "--global-name=SuperTokens"),
            *("--log-level=warning", f"--outfile={script}"),
        )


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - a command of our own
