"""The mails: who gets one, of what, in which language, and where its link leads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import transaction

from example_project import mails
from rotating_sessions.exceptions import RefreshTokenReused
from rotating_sessions.services import refresh_session, start_session
from rotating_sessions.signals import refresh_token_reused, session_started
from tests import catalogues
from tests.acting import Clock, W, client_at

PACKAGE = Path(mails.__file__).parent
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
LINK = "https://shop.example/account/sessions/"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _example(settings: Any) -> Iterator[None]:
    """Let the suite's site have what the mails take from the example's."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "example_project"]
    settings.LOCALE_PATHS = []
    settings.SITE_URL = "https://shop.example"
    # Django 6.1 has no default any more.
    backend = "django.core.mail.backends.locmem.EmailBackend"
    settings.MAILERS = {"default": {"BACKEND": backend}}
    session_started.connect(mails.on_new_device)
    refresh_token_reused.connect(mails.on_theft)
    yield
    session_started.disconnect(mails.on_new_device)
    refresh_token_reused.disconnect(mails.on_theft)


@pytest.fixture
def user() -> Any:
    return get_user_model().objects.create_user("ada", "ada@example.com", "secret")


def log_in(rf: Any, user: Any, user_agent: str = FIREFOX, **extra: Any) -> Any:
    """Start a session, as a browser elsewhere."""
    request = rf.post(
        "/", HTTP_USER_AGENT=user_agent, REMOTE_ADDR="192.0.2.66", **extra
    )
    return start_session(request, user)


def test_first_login_and_known_devices_are_no_news(rf, user):
    """Nobody is told of the first session, nor of another one on the same device."""
    log_in(rf, user)
    log_in(rf, user)

    assert mail.outbox == []


def test_new_device_is_told_by_mail(rf, user, settings):
    """A login on another device is told with device, address, time, and a link."""
    log_in(rf, user)
    log_in(rf, user, IPHONE)

    (sent,) = mail.outbox
    assert sent.to == ["ada@example.com"]
    assert sent.subject == "New login to your account"
    for text in ("Hello ada,", "Safari on iPhone", "192.0.2.66", " UTC\n", LINK):
        assert text in sent.body


def test_theft_is_told_by_mail(rf, user, monkeypatch):
    """A session that ended because its token was used twice is told, with a link."""
    clock = Clock(monkeypatch)
    stolen = log_in(rf, user).refresh
    held = stolen
    for _turn in range(2):
        clock.forward(2 * W)
        held = refresh_session(held, client=client_at(), transport="header").refresh
    with pytest.raises(RefreshTokenReused):
        refresh_session(stolen, client=client_at(), transport="header")

    (sent,) = mail.outbox
    assert sent.subject == "We ended a session to protect your account"
    assert "was used twice" in sent.body
    assert "Firefox on Linux" in sent.body
    assert LINK in sent.body


def test_link_leads_to_the_host_of_the_settings(rf, user, settings):
    """Whatever host a thief names in the request, the link leads to the site."""
    settings.ALLOWED_HOSTS = ["*"]
    log_in(rf, user)
    log_in(rf, user, IPHONE, HTTP_HOST="evil.example")

    (sent,) = mail.outbox
    assert LINK in sent.body
    assert "evil.example" not in sent.body


def test_mail_is_in_the_language_of_the_user(rf, user, monkeypatch):
    """A user whose language is known reads it, whatever language the request is in."""
    monkeypatch.setattr(type(user), "language", "de", raising=False)
    log_in(rf, user)
    log_in(rf, user, IPHONE)

    (sent,) = mail.outbox
    assert sent.subject == "Neue Anmeldung in Ihrem Konto"
    assert "Guten Tag ada," in sent.body
    assert "Gerät: Safari auf iPhone" in sent.body


def test_names_are_plain_text(rf, user):
    """A mail is no HTML: nothing in it is escaped."""
    user.username = "ada & <grace>"
    user.save()
    log_in(rf, user)
    log_in(rf, user, IPHONE)

    assert "Hello ada & <grace>," in mail.outbox[0].body


def test_user_without_an_address_gets_no_mail(rf, user):
    """Where no address is known there is nobody to tell."""
    type(user).objects.update(email="")
    log_in(rf, user)
    log_in(rf, user, IPHONE)

    assert mail.outbox == []


def test_login_that_is_undone_is_not_told(rf, user):
    """Of a login whose transaction was rolled back no mail is sent."""
    log_in(rf, user)
    with transaction.atomic():
        log_in(rf, user, IPHONE)
        transaction.set_rollback(True)

    assert mail.outbox == []


def test_mail_that_fails_fails_no_login(rf, user, settings):
    """A login goes on, whatever becomes of its mail."""
    log_in(rf, user)
    settings.SITE_URL = None

    pair = log_in(rf, user, IPHONE)

    assert pair.refresh
    assert mail.outbox == []


def test_catalogue_is_complete():
    """Every text of the mails is in the German catalogue, and in the compiled one."""
    catalogue = catalogues.catalogue_of(PACKAGE, "de")
    known = {
        catalogues.key_of(entry): catalogues.translations_of(entry)
        for entry in catalogue
    }
    compiled = {
        catalogues.key_of(entry): catalogues.translations_of(entry)
        for entry in catalogues.compiled_of(PACKAGE, "de")
    }

    assert known.keys() == catalogues.texts_of(PACKAGE)
    assert catalogue.percent_translated() == 100
    assert compiled == known
