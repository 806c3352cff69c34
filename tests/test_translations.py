"""The catalogues: complete, compiled, and true to their placeholders."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import translation

import rotating_sessions
from rotating_sessions import exceptions
from rotating_sessions.exceptions import InvalidToken, SessionError
from rotating_sessions.models import RevokedReason
from rotating_sessions.transports import explain
from tests.catalogues import (
    catalogue_of,
    compiled_of,
    key_of,
    placeholders,
    texts_of,
    translations_of,
)

PACKAGE = Path(rotating_sessions.__file__).parent
LANGUAGES = sorted(path.name for path in (PACKAGE / "locale").iterdir())
MEND = (
    "cd rotating_sessions && django-admin makemessages -l {language} "
    "--add-location=file, translate, then django-admin compilemessages"
)


def test_there_is_a_german_catalogue():
    """The package speaks German beside English."""
    assert LANGUAGES == ["de"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue_holds_every_text_and_no_other(language):
    """Each text that the package marks is in the catalogue, and nothing else is."""
    entries = [entry for entry in catalogue_of(PACKAGE, language) if not entry.obsolete]
    marked, known = texts_of(PACKAGE), {key_of(entry) for entry in entries}

    assert marked - known == set(), MEND.format(language=language)
    assert known - marked == set(), MEND.format(language=language)
    assert len(known) > 100


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language):
    """No translation is missing, guessed or left over."""
    catalogue = catalogue_of(PACKAGE, language)

    assert [entry.msgid for entry in catalogue.untranslated_entries()] == []
    assert [entry.msgid for entry in catalogue.fuzzy_entries()] == []
    assert [entry.msgid for entry in catalogue.obsolete_entries()] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_keep_the_placeholders(language):
    """A translation fills in what its original does, by the same names."""
    wrong = [
        entry.msgid
        for entry in catalogue_of(PACKAGE, language)
        for text in translations_of(entry)
        if placeholders(text) != placeholders(entry.msgid)
    ]

    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_keep_their_shape(language):
    """A sentence stays a sentence, and is as far from its neighbours as before."""
    wrong = [
        entry.msgid
        for entry in catalogue_of(PACKAGE, language)
        for text in translations_of(entry)
        if text != text.strip() or text.endswith(".") is not entry.msgid.endswith(".")
    ]

    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_compiled_catalogue_is_that_of_the_source(language):
    """What Django reads was made of what people read."""
    source = {
        key_of(entry): translations_of(entry)
        for entry in catalogue_of(PACKAGE, language)
    }
    compiled = {
        key_of(entry): translations_of(entry)
        for entry in compiled_of(PACKAGE, language)
    }

    assert compiled == source


def test_every_error_can_be_translated():
    """What a client is told of an error is marked, whichever error it is."""
    errors = [getattr(exceptions, name) for name in exceptions.__all__]
    errors.remove(SessionError)
    marked = {text for text, _plural, _context in texts_of(PACKAGE)}

    assert [error for error in errors if error.detail not in marked] == []


def test_texts_follow_the_language_of_the_request():
    """Errors, reasons and forms are read in the language that is active."""
    with translation.override("de"):
        told = explain(InvalidToken())
        reason = str(RevokedReason.LOGOUT.label)

    assert told == {"detail": "Das Token ist ungültig.", "code": "invalid_token"}
    assert str(InvalidToken()) == "The token is not valid."
    assert reason == "Abgemeldet"
