"""The command that makes key pairs: what it prints, writes, and never does."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from rotating_sessions.checks.keys import check_access_keys
from rotating_sessions.tokens import pem
from rotating_sessions.tokens.pem import ALGORITHMS, read_pem
from tests.keyring import PEMS, public_half


def run(*args: str) -> tuple[str, str]:
    """Run the command and return what it printed, and what it said beside."""
    out, said = io.StringIO(), io.StringIO()
    call_command("rotating_sessions_keygen", *args, stdout=out, stderr=said)
    return out.getvalue(), said.getvalue()


@pytest.fixture
def careless() -> Iterator[None]:
    """Let new files be open to all, unless whoever makes one says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_printed(settings, algorithm):
    """Standard output is a PEM text that ACCESS_KEYS takes, and nothing else."""
    printed, said = run("--algorithm", algorithm)

    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [printed]}
    key = read_pem(printed)
    assert check_access_keys() == []
    assert key.algorithm == algorithm
    assert key.private is not None
    assert printed.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert printed.endswith("-----END PRIVATE KEY-----\n")
    assert f"{algorithm}, thumbprint {key.thumbprint}." in said
    assert "ACCESS_KEYS" in said
    assert "PRIVATE" not in said


def test_a_key_is_for_eddsa_unless_another_is_asked_for():
    """The default is EdDSA, and each key is a new one."""
    first, second = run()[0], run()[0]

    assert read_pem(first).algorithm == "EdDSA"
    assert first != second


@pytest.mark.usefixtures("careless")
def test_a_file_is_for_its_owner_alone(settings, tmp_path):
    """KM-01: A key is written with mode 0600 whatever the umask, and not printed."""
    file = tmp_path / "access.pem"

    printed, said = run("--output", str(file))

    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [str(file)]}
    assert check_access_keys() == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert printed == ""
    assert str(file) in said


@pytest.mark.parametrize("there", ["file", "link"])
def test_nothing_is_overwritten(tmp_path, there):
    """A file that is there stays as it is, and so does what a link leads to."""
    file, target = tmp_path / "access.pem", tmp_path / "target.pem"
    if there == "file":
        file.write_text("a key in use")
    else:
        file.symlink_to(target)

    with pytest.raises(CommandError, match="Nothing was written: File exists"):
        run("--output", str(file))

    assert not target.exists()
    assert there == "link" or file.read_text() == "a key in use"


def test_a_folder_that_is_missing_is_told(tmp_path):
    """A file that cannot be made is an error, and no key is lost in it."""
    with pytest.raises(CommandError, match="Nothing was written: No such file"):
        run("--output", str(tmp_path / "none" / "access.pem"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_public_half_is_shown(tmp_path, algorithm):
    """--public-of makes no key: it shows the public half of the one in a file."""
    file, public = tmp_path / "old.pem", tmp_path / "old.pub.pem"
    file.write_text(PEMS[algorithm])

    printed, said = run("--public-of", str(file))
    run("--public-of", str(file), "--output", str(public))

    assert printed == public.read_text() == public_half(PEMS[algorithm])
    assert "cannot sign" in said


@pytest.mark.parametrize("content", [None, "nothing"])
def test_a_file_without_a_key_has_no_public_half(tmp_path: Path, content):
    """A file that is missing, or holds no key, is an error in one line."""
    file = tmp_path / "old.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(CommandError, match=r"^it is no key in PEM|^its file cannot"):
        run("--public-of", str(file))


def test_a_missing_package_is_told(monkeypatch):
    """DP-02: Without the extra the command says what to install."""
    monkeypatch.setattr(pem, "_HAS_CRYPTOGRAPHY", False)

    with pytest.raises(CommandError, match=r"sessions\[crypto\]"):
        run()


def test_a_site_with_wrong_keys_can_make_one(settings):
    """The command runs no checks: it is what a site with a wrong key needs."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": []}

    printed, _said = run()

    assert read_pem(printed)
