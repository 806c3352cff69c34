"""The system checks of ACCESS_KEYS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks

from rotating_sessions.checks.keys import check_access_keys
from rotating_sessions.tokens import pem
from tests.keyring import PEMS, public_half, rsa_pem
from tests.test_checks import ids

ROOT = Path(__file__).parent.parent
ONE, OTHER = PEMS["EdDSA"], PEMS["ES256"]
BROKEN = ONE[:90]


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        (["HS256"], []),
        ([ONE], []),
        ([ONE, OTHER, PEMS["RS256"], "HS256"], []),
        (["HS256", ONE], []),
        ([ONE, public_half(OTHER)], []),
        ([ONE.replace("\n", r"\n")], []),
        ([rsa_pem(2048)], []),
        ([rsa_pem(1024)], ["E016"]),
        ([BROKEN], ["E016"]),
        (["/no/such/file.pem"], ["E016"]),
        ([""], ["E016"]),
        ([ONE, "/", BROKEN], ["E016", "E016"]),
        # Whether the order is right is told once all are keys.
        ([BROKEN, ONE, ONE], ["E016"]),
        ([], ["E018"]),
        ([public_half(ONE)], ["E018"]),
        ([public_half(ONE), OTHER], ["E018"]),
        ([ONE, OTHER, ONE], ["E018"]),
        ([ONE, public_half(ONE)], ["E018"]),
        (["HS256", "HS256"], ["E018"]),
        ([public_half(ONE), ONE], ["E018", "E018"]),
    ],
)
def test_a_wrong_list_of_keys_is_told(settings, entries, found):
    """KM-01: What is no key, cannot sign or stands there twice has an id of its own."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": entries}

    messages = check_access_keys()

    assert ids(messages) == found
    assert BROKEN[40:] not in str(messages)


@pytest.mark.parametrize("value", [ONE, [ONE.encode()], None])
def test_what_is_no_list_of_texts_is_told_by_its_type(settings, value):
    """DP-05: A wrong type is E002, and looked at no further."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": value}

    messages = run_checks(tags=["security"])

    assert ids(messages) == ["E002"]


@pytest.mark.parametrize(
    ("text", "mode", "found"),
    [
        (ONE, 0o600, []),
        (ONE, 0o440, []),
        (ONE, 0o644, ["W019"]),
        (ONE, 0o604, ["W019"]),
        (public_half(ONE), 0o644, ["E018"]),
    ],
)
def test_a_private_key_that_everybody_can_read_is_told(
    settings, tmp_path, text, mode, found
):
    """KM-01: A file is for its owner, and perhaps a group; a public half for all."""
    file = tmp_path / "access.pem"
    file.write_text(text)
    file.chmod(mode)
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [str(file)]}

    messages = check_access_keys()

    assert ids(messages) == found
    assert all("chmod" in str(m.hint) for m in messages if "W" in str(m.id))


def test_the_entry_is_told(settings):
    """A message names the entry by its place, for its text may be a secret."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": [ONE, "MC4CAQAwBQYDK2VwBCIEIPz4zX"]}

    [message] = check_access_keys()

    assert "ACCESS_KEYS, entry 2: its file cannot be read" in message.msg
    assert "MC4C" not in message.msg


def test_a_missing_package_is_told(settings, monkeypatch):
    """DP-02: Without the extra a key pair is E017, which says what to install."""
    settings.ROTATING_SESSIONS = {"ACCESS_KEYS": ["HS256", ONE]}
    monkeypatch.setattr(pem, "_HAS_CRYPTOGRAPHY", False)

    [message] = check_access_keys()

    assert str(message.id) == "rotating_sessions.E017"
    assert 'pip install "django-rotating-sessions[crypto]"' in message.msg


def test_a_site_without_key_pairs_needs_no_extra():
    """DP-02: Where `cryptography` is missing, HS256 signs and verifies as ever."""
    script = (
        "import sys; sys.modules['cryptography'] = None\n"
        "import django; django.setup()\n"
        "from django.core.checks import run_checks\n"
        "from rotating_sessions.tokens.keys import get_key_ring\n"
        "print([m.id for m in run_checks()], get_key_ring().minting_key.algorithm)\n"
    )

    printed = subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": str(ROOT),
        },
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert printed == "[] HS256\n"
