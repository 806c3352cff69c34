"""SuperTokens tokens on the site's own views: who is let in, how others are told."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpResponse, StreamingHttpResponse
from django.test import AsyncRequestFactory
from django.utils import timezone

from rotating_sessions import revocations
from rotating_sessions.authentication import Visit
from rotating_sessions.exceptions import SessionEnded
from rotating_sessions.fdi.answers import word_refusal
from rotating_sessions.fdi.middleware import FdiMiddleware
from rotating_sessions.middleware import RotatingSessionMiddleware
from rotating_sessions.models import SessionFamily
from rotating_sessions.tokens.access import decode_access
from rotating_sessions.transports import COOKIE, HEADER
from tests.acting import log_in
from tests.browsing import ACCESS, TRAIN, Api, bearer, database_down, refusal
from tests.fronting import FrontEnd, cleared, front_token, mount
from tests.test_authentication import error_reports

pytestmark = pytest.mark.django_db(transaction=True)

MODES = pytest.mark.parametrize("mode", [COOKIE, HEADER])
WHOAMI = "/api/whoami"
PAGE = {"HTTP_ACCEPT": "text/html", "HTTP_SEC_FETCH_DEST": "document"}


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    mount(settings)


@pytest.fixture(params=[COOKIE, HEADER])
def client(request: Any, user: Any) -> FrontEnd:
    """Return a front end that has signed in."""
    front = FrontEnd(request.param)
    front.sign_in(user)
    return front


def message(response: Any) -> tuple[int, str]:
    return response.status_code, json.loads(response.content)["message"]


def test_session_opens_the_views_of_the_site(client, user):
    """Views know the user of a front end's session, reads and writes alike."""
    read = client.get(WHOAMI)
    written = client.send("/api/note", {"text": "a"})

    assert read.json() == {"username": user.username, "generation": 0}
    assert written.json() == {"noted": "a"}
    assert front_token(read) is None


def test_expired_token_is_to_be_refreshed(client, settings):
    """After its end an access token gets "try refresh token", and nothing else."""
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}

    response = client.get(WHOAMI)

    assert message(response) == (401, "try refresh token")
    assert refusal(response) == (401, "refresh_required")
    assert response["Content-Length"] == str(len(response.content))
    assert cleared(response) == set()
    assert front_token(response) is None


@pytest.mark.parametrize("fault", ["signature", "network"])
def test_token_that_does_not_serve_is_to_be_refreshed(client, fault):
    """A token that is not ours, or of another network, is for a refresh to mend."""
    extra = {"REMOTE_ADDR": TRAIN} if fault == "network" else {}
    if fault == "signature":
        forged = client.access()[:-6] + "forged"
        client.cookies["sAccessToken"] = forged
        client.tokens["st-access-token"] = forged if client.tokens else ""

    response = client.get(WHOAMI, **extra)

    assert message(response) == (401, "try refresh token")
    assert front_token(response) is None


def test_nobody_without_a_token_is_told_to_forget(api):
    """A view that needs a session says 401, and clears nothing."""
    response = api.get(WHOAMI)

    assert response.status_code == 401
    assert cleared(response) == set()
    assert front_token(response) is None


def test_revoked_session_is_cleared(client):
    """The token of a session that ended is 401 "unauthorised", and forgotten."""
    SessionFamily.objects.update(revoked_at=timezone.now())
    revocations.poll(timezone.now())

    response = client.get(WHOAMI)

    assert message(response) == (401, "unauthorised")
    assert cleared(response) == {HEADER, COOKIE}
    assert front_token(response) == "remove"


def test_session_that_drf_finds_ended_is_cleared(client, user):
    """Where reading the user shows that it is over, DRF says so, and all is cleared."""
    user.is_active = False
    user.save()

    response = client.get(WHOAMI)

    assert refusal(response)[0] == 401
    assert cleared(response) == {HEADER, COOKIE}
    assert front_token(response) == "remove"


def test_sign_in_with_an_ended_session_brings_the_new_one(client, user):
    """The old session's end does not clear what a sign-in has just set."""
    SessionFamily.objects.update(revoked_at=timezone.now())
    revocations.poll(timezone.now())

    response = client.sign_in(user)

    assert cleared(response) == set()
    assert front_token(response)["uid"] == str(user.pk)
    assert client.get(WHOAMI).status_code == 200


def test_site_that_fails_clears_nothing(client, settings):
    """A 503 has no word on tokens, in nobody's words."""
    revocations.reset()

    with database_down():
        response = client.get(WHOAMI)

    assert refusal(response) == (503, "unavailable")
    assert "message" not in response.json()
    assert front_token(response) is None


def test_failed_claims_have_the_shape_of_the_contract(client):
    """A DRF view that raises `InvalidClaims` answers 403, with each claim by name."""
    response = client.get("/api/staff")

    assert response.status_code == 403
    assert response.json() == {
        "message": "invalid claim",
        "claimValidationErrors": [
            {"id": "st-role", "reason": {"expected": "staff", "missing": True}}
        ],
    }
    assert front_token(response) is None


def test_plain_view_may_raise_failed_claims(client):
    """A view of Django's alone gets the same answer, which no cache keeps."""
    response = client.get("/plain/staff")

    assert response.status_code == 403
    assert response.json() == client.get("/api/staff").json()
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/api/verified", "/plain/verified"])
def test_claim_that_a_view_requires_is_told_in_both_words(user, settings, path):
    """`HasClaim` and `claim_required` answer as front ends expect, and as ever."""
    settings.ROTATING_SESSIONS = {"CLAIMS": "tests.fdi.views.claims"}
    client = FrontEnd()
    client.sign_in(user)

    refused = client.get(path)
    user.email = "ada@example.com"
    user.save()
    client.refresh()

    detail = "Your session does not allow this."
    assert refused.status_code == 403
    assert refused.json() == {
        "message": "invalid claim",
        "claimValidationErrors": [{"id": "st-ev", "reason": {"message": detail}}],
        "detail": detail,
        "code": "invalid_claim",
        "claim": "st-ev",
    }
    assert refused["Content-Length"] == str(len(refused.content))
    assert client.get(path).status_code == 200


def test_claim_that_is_too_old_is_to_be_refreshed(user, settings, clock):
    """Where a view asks for a newer claim, the front end refreshes."""
    settings.ROTATING_SESSIONS = {"CLAIMS": "tests.fdi.views.claims"}
    client = FrontEnd()
    client.sign_in(user)
    clock.forward(timedelta(minutes=2))

    assert message(client.get("/plain/verified")) == (401, "try refresh token")


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ({"code": "invalid_claim", "claim": "a", "detail": "b"}, "text/html"),
        ({"code": "permission_denied", "detail": "b"}, "application/json"),
        (["invalid_claim"], "application/json"),
    ],
)
def test_what_the_site_says_for_itself_stays(rf, data, content_type):
    """An answer that is no JSON of a claim is not reworded."""
    response = HttpResponse("own", content_type=content_type)
    response.data = data

    assert FdiMiddleware(lambda _request: response)(rf.get("/")).content == b"own"


def test_other_faults_of_views_are_not_ours(client):
    """What else a view raises goes its way."""
    with pytest.raises(ZeroDivisionError):
        client.get("/plain/broken")


def test_statuses_can_be_those_that_front_ends_are_set_to(client, settings):
    """The two status codes that can be set in the SDK can be set here, too."""
    settings.ROTATING_SESSIONS_FDI = {
        "SESSION_EXPIRED_STATUS": 440,
        "INVALID_CLAIM_STATUS": 418,
    }

    statuses = [
        client.get(WHOAMI, REMOTE_ADDR=TRAIN).status_code,
        client.get("/api/staff").status_code,
        client.get("/plain/staff").status_code,
        client.get("/api/verified").status_code,
        FrontEnd().refresh().status_code,
    ]

    assert statuses == [440, 418, 418, 418, 440]


def test_page_loads_with_an_expired_cookie(user, settings):
    """The front end's own page is no 401: the script on it has to refresh."""
    client = FrontEnd(COOKIE)
    client.sign_in(user)
    settings.ROTATING_SESSIONS = {"ACCESS_LIFETIME": timedelta(0)}

    response = client.get("/", HTTP_RID=None, HTTP_ST_AUTH_MODE=None, **PAGE)

    assert response.status_code == 200
    assert b"supertokens.js" in response.content


def test_sessions_of_our_own_client_go_on(user):
    """Beside it, tokens and cookies of the package's own transports serve as before."""
    header, cookie = Api(), Api()
    access = header.log_in(user, url="/sessions/")["access"]
    cookie.log_in(user, "cookie", url="/sessions/")

    assert header.get(WHOAMI, **bearer(access)).status_code == 200
    assert cookie.get(WHOAMI).status_code == 200
    assert ACCESS in cookie.cookies


@pytest.mark.parametrize(
    ("cookie", "status", "clears"),
    [
        ("sAccessToken=a.b.c", 200, True),
        ("sAccessToken=a.b.c", 404, True),
        ("sAccessToken=a.b.c", 429, False),
        ("sAccessToken=a.b.c", 500, False),
        ("__Host-rs_access=a.b.c", 200, False),
    ],
)
def test_end_that_a_view_finds_is_told_with_a_final_answer(rf, cookie, status, clears):
    """A client forgets its session with the answer that is final, and is its own."""

    def view(request: Any) -> HttpResponse:
        request.session_visit = Visit(refusal=SessionEnded())
        return HttpResponse(status=status)

    response = FdiMiddleware(view)(rf.get("/", HTTP_COOKIE=cookie))

    assert response.status_code == status
    assert (front_token(response) == "remove") is clears
    assert cleared(response) == ({HEADER, COOKIE} if clears else set())


def test_refusals_that_cannot_be_worded_stay(rf):
    """A response without a body of its own is passed on as it is."""
    response = StreamingHttpResponse(iter([b"a"]), status=401)

    word_refusal(rf.get("/"), response, SessionEnded())

    assert response.status_code == 401
    assert front_token(response) is None


def test_site_without_our_middleware_is_passed_on(rf):
    """Alone, which a system check refuses, the middleware changes no answer."""
    request = rf.get("/", HTTP_COOKIE="sAccessToken=a.b.c")

    response = FdiMiddleware(lambda _request: HttpResponse("plain"))(request)

    assert response.content == b"plain"
    assert not response.cookies


@pytest.mark.parametrize("good", [True, False])
def test_asynchronous_sites_are_served_alike(rf, user, good):
    """Under ASGI the same tokens open the same views, and refusals read the same."""
    access = log_in(rf, user, transport=COOKIE).access if good else "a.b.c"

    async def view(request: Any) -> HttpResponse:
        return HttpResponse(str(request.session_family.user_pk))

    stack = FdiMiddleware(RotatingSessionMiddleware(view))
    request = AsyncRequestFactory().get("/", REMOTE_ADDR="203.0.113.5")
    request.META["HTTP_COOKIE"] = f"sAccessToken={access}"
    request.META["REMOTE_ADDR"] = "203.0.113.5"

    response = async_to_sync(stack)(request)

    if good:
        assert response.content.decode() == str(user.pk)
    else:
        assert message(response) == (401, "try refresh token")


def test_tokens_show_in_no_error_report(client, caplog):
    """Neither access nor refresh token of a front end is in a log."""
    client.raise_request_exception = False

    client.get("/plain/broken")

    tokens = [client.access(), client.refresh_token()]
    assert not [token for token in tokens if token in error_reports(caplog)]
    assert decode_access(tokens[0], timezone.now())
