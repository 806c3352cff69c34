"""Anonymous sessions as those see them who operate a site."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone, translation

from rotating_sessions.models import RevokedReason, SessionFamily
from rotating_sessions.services import read_last_addresses, start_session
from rotating_sessions.timeline import EventKind, History, explain, tell
from tests.acting import claims_of
from tests.factories import SessionFamilyFactory
from tests.staffing import LIST, REVOKE, VIEW, act, detail, shown, staff, told
from tests.test_anonymous import visit

pytestmark = pytest.mark.django_db(transaction=True)

NOTHING = History(tokens=())


def anonymous(**fields: Any) -> SessionFamily:
    values = {"user": None, "user_pk": "", "auth_hash": "", "device": "Lynx"}
    return SessionFamilyFactory.create(**{**values, **fields})


@pytest.fixture
def families(user: Any) -> dict[str, SessionFamily]:
    """Return a session of a user, one of a user who is gone, and one of nobody."""
    gone = SessionFamilyFactory.create()
    gone.user.delete()
    found = {"user": SessionFamilyFactory.create(user=user), "gone": gone}
    return found | {"nobody": anonymous()}


def test_staff_see_that_it_is_anonymous(families):
    """The list and the page say so, and call it no deleted user's."""
    browser = staff(VIEW, REVOKE)

    for page in (browser.get(LIST), browser.get(detail(families["nobody"]))):
        html = page.content.decode()
        assert ">anonymous<" in html
        assert "deleted user <" not in html
        assert ">None<" not in html
    assert "nobody has logged in" in html


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        ("anonymous", {"nobody"}),
        ("user", {"user", "gone"}),
        ("no such kind", {"user", "gone", "nobody"}),
    ],
)
def test_staff_find_it(families, owner, names):
    """A filter of the list tells users' sessions from those of nobody."""
    response = staff(VIEW).get(LIST, {"owner": owner})

    assert shown(response) == {families[name].pk for name in names}


def test_staff_find_it_by_its_id(families):
    """A search finds it by the id, and by no name."""
    browser = staff(VIEW)

    found = shown(browser.get(LIST, {"q": str(families["nobody"].pk)}))

    assert found == {families["nobody"].pk}
    assert shown(browser.get(LIST, {"q": "anonymous"})) == set()


def test_staff_end_it(families):
    """The action ends it, and no other session that has no user."""
    response = act(staff(VIEW, REVOKE), families["nobody"])

    reasons = dict(SessionFamily.objects.values_list("pk", "revoked_reason"))
    assert told(response) == ["1 session was revoked."]
    assert reasons[families["nobody"].pk] == RevokedReason.STAFF
    assert reasons[families["user"].pk] == ""


def test_the_sessions_of_its_user_are_none(families):
    """Who ends all sessions of the users of a selection ends none that has no user."""
    other = anonymous()
    chosen = {
        "action": "revoke_users_of_selected",
        "_selected_action": [str(families["nobody"].pk), str(families["user"].pk)],
        "post": "yes",
    }

    response = staff(VIEW, REVOKE).post(LIST, chosen, follow=True)

    assert told(response) == ["1 session was revoked."]
    for family in (families["nobody"], other):
        family.refresh_from_db()
        assert family.revoked_at is None


def test_staff_end_it_from_its_page(families):
    """The question names the device, for there is nobody to name."""
    browser, page = staff(VIEW, REVOKE), detail(families["nobody"])
    revoke = page.replace("change", "revoke")

    question = browser.get(revoke).content.decode()
    browser.post(revoke)

    assert "This ends an anonymous session on Lynx." in question
    families["nobody"].refresh_from_db()
    assert families["nobody"].revoked_reason == RevokedReason.STAFF


def test_its_timeline_is_exported(families):
    """The file says that it began without a login."""
    page = detail(families["nobody"]).replace("change/", "timeline.csv")

    text = staff(VIEW).get(page).getvalue().decode()

    assert ",visit," in text
    assert "Began, without a login" in text
    assert "Logged in" not in text


@pytest.mark.parametrize("reason", RevokedReason)
def test_every_end_of_it_is_told(reason):
    """However it ended, the page says first that nobody had logged in."""
    ended = anonymous(revoked_at=timezone.now(), revoked_reason=reason)

    text = explain(ended, NOTHING, timezone.now())

    assert text.startswith("This session is anonymous: nobody has logged in. On ")


def test_the_way_into_a_users_session_is_told(rf, user):
    """What a login took over says so, in the reader's language."""
    pair = visit(rf)
    request = rf.get("/")
    request.session_family = claims_of(pair)
    start_session(request, user)
    family = SessionFamily.objects.anonymous().get()

    kinds = [event.kind for event in tell(family, NOTHING, timezone.now())]
    with translation.override("de"):
        text = explain(family, NOTHING, timezone.now())

    assert kinds[0] is EventKind.REVOKED
    assert kinds[-1] is EventKind.VISIT
    assert "hat sich der Besucher angemeldet" in text


def revoke(*args: str) -> str:
    out = io.StringIO()
    call_command("rotating_sessions_revoke", *args, stdout=out, no_color=True)
    return out.getvalue()


def test_the_command_ends_those_of_nobody(families):
    """`--anonymous` ends every anonymous session, and none of a user's."""
    anonymous()

    assert revoke("--anonymous") == "Revoked 2 session(s).\n"

    families["user"].refresh_from_db()
    assert families["user"].revoked_at is None
    assert SessionFamily.objects.filter(revoked_reason="staff").count() == 2


def test_nobodys_name_ends_nothing(families):
    """`--user ""` is no user, and not those who have none."""
    with pytest.raises(CommandError, match="There is no user"):
        revoke("--user", "")

    assert not SessionFamily.objects.filter(revoked_reason="staff").exists()


def test_addresses_are_judged_by_users(families):
    """One visitor may have many sessions: of addresses only users' tell something."""
    later = timezone.now() + timedelta(days=20)
    SessionFamilyFactory.create_batch(
        2, user=None, user_pk="", auth_hash="", idle_at=later, ip_address="10.0.0.1"
    )

    assert [pk for pk, _address in read_last_addresses(9)] == [families["user"].user_pk]
