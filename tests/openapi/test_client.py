"""A TypeScript client of the schema compiles, and stops what the schema forbids."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command

from tests import figures

HERE = Path(__file__).parent
TOOLS = "node_modules/.bin/"
FILES = ["package.json", "package-lock.json", "tsconfig.json", "client.ts", "misuse.ts"]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own lines
        command, cwd=folder, check=False, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the tools that the lock file pins, and with the types."""
    found = tmp_path_factory.mktemp("client")
    for name in FILES:
        shutil.copy(HERE / name, found)
    schema = found / "schema.json"
    call_command(
        "spectacular",
        "--validate",
        "--fail-on-warn",
        "--format=openapi-json",
        f"--file={schema}",
    )
    installed = run(found, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    assert installed.returncode == 0, installed.stderr
    made = run(found, TOOLS + "openapi-typescript", "schema.json", "-o", "schema.ts")
    assert made.returncode == 0, made.stderr
    return found


def test_a_client_of_every_operation_compiles(folder):
    """Tsc has nothing against a client, nor against what must not compile."""
    compiled = run(folder, TOOLS + "tsc")

    assert compiled.returncode == 0, compiled.stdout


def test_the_client_calls_every_operation(folder):
    """No operation of the schema is left out of the client."""
    schema = json.loads((folder / "schema.json").read_text())
    client = (folder / "client.ts").read_text()
    operations = [
        (path, method.upper())
        for path, methods in schema["paths"].items()
        for method in methods
    ]

    missing = [
        (path, method)
        for path, method in operations
        if f'client.{method}("{path}"' not in client
    ]

    figures.count("operations compiled", len(operations))
    assert missing == []


def test_what_the_schema_lacks_stops_the_client(folder, tmp_path):
    """The same client does not compile, where an endpoint is gone from the schema."""
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    types = tmp_path / "copy" / "schema.ts"
    types.write_text(types.read_text().replace('"/auth/reauthenticate/"', '"/gone/"'))

    compiled = run(tmp_path / "copy", TOOLS + "tsc")

    assert compiled.returncode != 0
    assert "/auth/reauthenticate/" in compiled.stdout
