"""The one setting: defaults, types, and when a change takes effect."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from datetime import timedelta

import pytest
from django.test import override_settings

from rotating_sessions.conf import SETTING, Conf, get_conf


def test_without_a_setting_the_defaults_are_in_force():
    """A site that sets nothing gets the lifetimes that the protocol names."""
    conf = get_conf()

    assert conf == Conf()
    assert conf.access_lifetime == timedelta(minutes=30)
    assert conf.grace_period == timedelta(seconds=60)
    assert conf.poll_interval == timedelta(seconds=5)
    assert conf.max_staleness == timedelta(seconds=60)
    assert (conf.ipv4_prefix, conf.ipv6_prefix) == (32, 64)


@pytest.mark.parametrize("value", [None, {}])
def test_an_empty_setting_is_no_setting(settings, value):
    """ROTATING_SESSIONS may be empty or None."""
    settings.ROTATING_SESSIONS = value

    assert get_conf() == Conf()


@pytest.mark.parametrize("name", [field.name for field in fields(Conf)])
def test_every_field_is_a_key_in_capitals(settings, name):
    """DP-05: Each setting is read from the key of its name in capitals only."""
    value = object()
    settings.ROTATING_SESSIONS = {name.upper(): value, name: "in small letters"}

    conf = get_conf()

    others = {field.name for field in fields(Conf)} - {name}
    assert getattr(conf, name) is value
    assert all(getattr(conf, each) == getattr(Conf(), each) for each in others)


def test_unknown_keys_change_nothing(settings):
    """A key that no field has is left to the system check."""
    settings.ROTATING_SESSIONS = {"GRACE": timedelta(seconds=7), "EPOCH": 3}

    assert get_conf() == Conf(epoch=3)


def test_a_list_is_read_as_a_tuple(settings):
    """A list in the settings cannot be changed afterwards through the Conf."""
    settings.ROTATING_SESSIONS = {"TRANSPORTS": ["cookie"]}

    assert get_conf().transports == ("cookie",)


def test_settings_are_read_once(settings):
    """DP-05: The settings in force are one value until they are changed."""
    settings.ROTATING_SESSIONS = {"EPOCH": 3}

    assert get_conf() is get_conf()


def test_a_change_of_the_setting_takes_effect_and_ends():
    """An override holds while it lasts, whatever other settings change meanwhile."""
    before = get_conf()
    with override_settings(**{SETTING: {"EPOCH": 5}}):
        during = get_conf()
        with override_settings(LANGUAGE_CODE="de"):
            beside = get_conf()

    after = get_conf()

    assert (before.epoch, during.epoch, after.epoch) == (0, 5, 0)
    assert beside is during


def test_a_conf_does_not_change():
    """DP-05: The settings in force are frozen."""
    conf = get_conf()

    with pytest.raises(FrozenInstanceError):
        conf.epoch = 9
