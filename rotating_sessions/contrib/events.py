"""
What is counted: one event for each signal, by labels that have a few values.

No label names a user, a session or an address: each would be a time series of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.dispatch import Signal

from rotating_sessions import signals
from rotating_sessions.models import RevokedReason

__all__ = ["EVENTS", "Event", "count_events"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    A signal as a counter.

    `label` is the field of the signal that tells one kind from another, where there is
    one, and `values` are all that it can be. Where `anonymous` is not None, what is of
    a user, or else of an anonymous session, is left out.
    """

    signal: Signal
    name: str
    description: str
    label: str | None = None
    values: tuple[str, ...] = ()
    anonymous: bool | None = None

    def counts(self, fields: Mapping[str, object]) -> bool:
        """Tell whether an event with these fields is counted here."""
        return self.anonymous in {None, fields["user_pk"] == ""}

    def labels(self, fields: Mapping[str, object]) -> dict[str, str]:
        """Return the labels of an event with these fields."""
        if self.label is None:
            return {}
        return {self.label: str(fields[self.label]).lower()}


EVENTS = (
    Event(
        signal=signals.session_started,
        name="logins",
        description="Logins that started a session.",
        label="new_device",
        values=("true", "false"),
        anonymous=False,
    ),
    Event(
        signal=signals.session_started,
        name="anonymous_sessions",
        description="Sessions that were started without a login.",
        anonymous=True,
    ),
    Event(
        signal=signals.session_refreshed,
        name="refreshes",
        description="Refreshes that issued a new refresh token.",
    ),
    Event(
        signal=signals.network_changed,
        name="network_changes",
        description="Refreshes from a network that the session did not know.",
    ),
    Event(
        signal=signals.refresh_token_reused,
        name="reuses",
        description="Superseded refresh tokens that came back: thefts.",
    ),
    Event(
        signal=signals.session_revoked,
        name="revocations",
        description="Sessions that were revoked.",
        label="reason",
        values=tuple(RevokedReason.values),
    ),
    Event(
        signal=signals.lost_commit,
        name="lost_commits",
        description="Tokens newer than their row: the database lost commits.",
    ),
)


_Count = Callable[[Event, Mapping[str, str]], None]


def count_events(app: str, count: _Count) -> None:
    """Let an app count every event, with its labels, once it is committed."""
    for event in EVENTS:
        # By its id, for an app may be made ready twice.
        event.signal.connect(
            _receiver(event, count), weak=False, dispatch_uid=f"{app}.{event.name}"
        )


def _receiver(event: Event, count: _Count) -> Callable[..., None]:
    # No partial: where one raises, Django wants its name for the log.
    def receive(**fields: object) -> None:
        if event.counts(fields):
            count(event, event.labels(fields))

    return receive
