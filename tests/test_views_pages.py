"""Server-rendered sites: a navigation goes through the refresh page, and comes back."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from urllib.parse import parse_qs, urlsplit

import django
import pytest
from django.conf import settings as site
from django.contrib.auth import get_user_model
from django.urls import clear_url_caches, path, set_urlconf
from django.utils import timezone

from rotating_sessions.models import RevokedReason, SessionFamily
from tests import views
from tests.browsing import (
    ACCESS,
    REFRESH,
    TRAIN,
    clears_cookies,
    database_down,
    refusal,
    rows,
    touches_cookies,
)

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/auth/refresh-page/"
PAGE = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}
EXPIRED = {"ACCESS_LIFETIME": timedelta(0)}

# A site that mounts none of our endpoints.
urlpatterns = [path("page/", views.page)]


def submit(api, target="/page/", **extra):
    """Press the refresh page's button."""
    token = api.cookies["csrftoken"].value
    form = {"next": target, "csrfmiddlewaretoken": token}
    return api.post(URL, form, **extra)


def test_good_session_shows_the_page(api, user):
    """`login_required` and the user's name work as with Django's own sessions."""
    api.log_in(user, "cookie")

    response = api.get("/page/", **PAGE)

    assert response.content.decode() == f"<h1>Hello {user.username}</h1>"


def test_anonymous_visitor_is_sent_to_the_sign_in_page(api):
    """Without a session `login_required` redirects to the sign-in page."""
    response = api.get("/page/", **PAGE)

    assert response.status_code == 302
    assert response["Location"].startswith(site.LOGIN_URL)


@pytest.mark.parametrize("why", ["expired", "network", "malformed", "today's browser"])
def test_navigation_is_sent_to_the_refresh_page(api, user, settings, why):
    """A navigation whose token will not do is redirected, and loses no cookie."""
    settings.ROTATING_SESSIONS = {} if why in {"network", "malformed"} else EXPIRED
    api.log_in(user, "cookie")
    extra = {
        "network": {"REMOTE_ADDR": TRAIN},
        "today's browser": {"HTTP_SEC_FETCH_MODE": "navigate"},
    }.get(why, {})
    if why == "malformed":
        api.cookies[ACCESS] = "abc"
    before = rows()

    response = api.get("/page/?tab=2&q=%C3%A9", **PAGE, **extra)

    location = urlsplit(response["Location"])
    assert response.status_code == 302
    assert (location.netloc, location.path) == ("", URL)
    assert parse_qs(location.query) == {"next": ["/page/?tab=2&q=%C3%A9"]}
    assert response["Cache-Control"] == "no-store"
    assert not touches_cookies(response)
    assert rows() == before


def test_path_that_looks_like_a_host_leads_to_none(api, user, settings):
    """A path with two slashes in front is no way to another host (AD-07)."""
    settings.ROTATING_SESSIONS = EXPIRED
    api.log_in(user, "cookie")
    away = api.get("/", PATH_INFO="//evil.example/", **PAGE)

    response = api.get(away["Location"], **PAGE)

    assert urlsplit(away["Location"]).netloc == ""
    assert response.context["next"] == "/"


@pytest.mark.parametrize(
    ("method", "transport", "accept"),
    [
        pytest.param("post", "cookie", PAGE, id="form"),
        pytest.param("head", "cookie", PAGE, id="HEAD"),
        pytest.param("get", "cookie", {"HTTP_ACCEPT": "*/*"}, id="script"),
        pytest.param(
            "get",
            "cookie",
            {**PAGE, "HTTP_SEC_FETCH_MODE": "cors"},
            id="by fetch",
        ),
        pytest.param("get", "header", PAGE, id="header transport"),
    ],
)
def test_only_navigations_are_redirected(  # noqa: PLR0917
    api, user, settings, method, transport, accept
):
    """Whoever is no browser asking for a page gets 401 `refresh_required`."""
    settings.ROTATING_SESSIONS = EXPIRED
    body = api.log_in(user, transport)
    extra = {"HTTP_X_CSRFTOKEN": api.cookies["csrftoken"].value} if api.cookies else {}
    if transport == "header":
        extra["HTTP_AUTHORIZATION"] = f"Bearer {body['access']}"

    response = getattr(api, method)("/page/", **accept, **extra)

    assert response.status_code == 401
    assert method == "head" or refusal(response) == (401, "refresh_required")


def test_site_without_our_endpoints_answers_401(api, user, settings):
    """Where no refresh page is mounted a navigation gets 401 `refresh_required`."""
    api.log_in(user, "cookie")
    settings.ROTATING_SESSIONS = {"EPOCH": 1}
    settings.ROOT_URLCONF = __name__
    clear_url_caches()
    set_urlconf(None)

    response = api.get("/page/", **PAGE)

    assert refusal(response) == (401, "refresh_required")


def test_refresh_page_shows_a_form(api):
    """The page has a form, a CSRF token, a button, and a script of the site's own."""
    response = api.get(URL, {"next": "/page/?a=1&b=2"})

    html = response.content.decode()
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert f'name="next" value="{escape("/page/?a=1&b=2")}"' in html
    assert 'name="csrfmiddlewaretoken"' in html
    assert f'action="{URL}"' in html
    assert '<button type="submit">' in html
    assert '<script src="/static/rotating_sessions/refresh.js" defer></script>' in html


def test_refresh_page_answers_head_as_get_without_a_body(api):
    """Whoever may GET the page may ask for its head (RFC 9110, section 9.3.2)."""
    response = api.head(URL)

    assert response.status_code == 200
    assert response.content == b""
    assert response["Cache-Control"] == "no-store"


def test_refusal_of_a_method_is_in_no_cache(api):
    """A cache may keep a 405 by itself, so the refresh page forbids it."""
    response = api.options(URL)

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, POST"
    assert response["Cache-Control"] == "no-store"


def test_whole_way_round(api, user, settings):
    """From a page with an expired token over the refresh page, and back to the page."""
    settings.ROTATING_SESSIONS = EXPIRED
    api.log_in(user, "cookie")
    settings.ROTATING_SESSIONS = {}
    away = api.get("/page/?tab=2", **PAGE)
    shown = api.get(away["Location"], **PAGE)

    back = submit(api, shown.context["next"])

    assert (back.status_code, back["Location"]) == (302, "/page/?tab=2")
    assert back["Cache-Control"] == "no-store"
    assert back.cookies[ACCESS].value
    assert back.cookies[REFRESH].value
    assert api.get(back["Location"], **PAGE).status_code == 200


EVIL = [
    "//evil.example/",
    "/\\evil.example/",
    "\\\\evil.example",
    "///evil.example",
    "https://evil.example/",
    "http:///evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "\x08//evil.example",
    "http://testserver@evil.example/",
    "http://testserver:80@evil.example",
    "http://[evil",
    "/" + "a" * 3000,
    "",
]


@pytest.mark.parametrize("target", EVIL)
@pytest.mark.parametrize("step", ["form", "redirect"])
def test_way_back_leads_to_no_other_site(api, user, target, step):
    """A `next` that is no page of this site becomes its root (AD-07)."""
    api.log_in(user, "cookie")

    response = api.get(URL, {"next": target}) if step == "form" else submit(api, target)

    way = response.context["next"] if step == "form" else response["Location"]
    assert way == "/"


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape"])
def test_address_in_another_charset_is_refused(api, charset):
    """An address is UTF-8, and half a character in a charset of its own a 400."""
    address = f"{URL}?next=/%5Cud800+2AA-"

    response = api.get(address, CONTENT_TYPE=f"text/plain; charset={charset}")

    assert refusal(response) == (400, "invalid_request")
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["evil.example", "testserver.evil.example", "evil.example:443", "a@b"]
)
@pytest.mark.parametrize("step", ["form", "redirect"])
def test_host_header_leads_nowhere(api, user, host, step):
    """AD-07: A host that is not the site's is refused, and a forwarded one ignored."""
    api.log_in(user, "cookie")
    target = f"http://{host}/"
    ask = {
        "form": lambda **extra: api.get(URL, {"next": target}, **extra),
        "redirect": lambda **extra: submit(api, target, **extra),
    }[step]

    spoofed = ask(HTTP_HOST=host)
    forwarded = ask(HTTP_X_FORWARDED_HOST=host)

    way = forwarded.context["next"] if step == "form" else forwarded["Location"]
    assert spoofed.status_code == 400
    assert not touches_cookies(spoofed)
    assert way == "/"


@pytest.mark.parametrize("step", ["form", "redirect"])
def test_way_back_is_the_root_where_none_is_given(api, user, step):
    """Without `next` the browser goes on at the site's root."""
    api.log_in(user, "cookie")
    token = {"csrfmiddlewaretoken": api.cookies["csrftoken"].value}

    response = api.get(URL) if step == "form" else api.post(URL, token)

    way = response.context["next"] if step == "form" else response["Location"]
    assert way == "/"


def test_way_back_splits_no_header(api, user):
    """Line ends in `next` stay inside the address (HC-06)."""
    api.log_in(user, "cookie")

    response = submit(api, "/page/\r\nSet-Cookie: a=b")

    assert response["Location"] == "/page/%0D%0ASet-Cookie:%20a=b"
    assert "a" not in response.cookies


def test_address_too_long_to_come_back_to_leads_to_the_root(api, user, settings):
    """Where Django redirects to no address as long, the way back is left out."""
    api.log_in(user, "cookie")
    settings.ROTATING_SESSIONS = EXPIRED

    response = api.get("/page/", QUERY_STRING="%25" * 8000, **PAGE)

    # The first releases of Django 5.2 redirect to any.
    assert response.status_code == 302
    assert response["Location"] == URL or django.VERSION < (5, 2, 9)


def test_way_back_too_long_once_it_is_encoded_is_the_root(api, user):
    """A way back that Django does not redirect to is no reason not to refresh."""
    api.log_in(user, "cookie")
    api.get(URL)

    response = submit(api, "/" + "\N{SNAKE}" * 2000)

    assert response.status_code == 302
    assert response["Location"] == "/" or django.VERSION < (5, 2, 9)
    assert touches_cookies(response)


def test_script_in_the_way_back_is_escaped(api):
    """What comes in by `next` cannot break out of the form."""
    response = api.get(URL, {"next": '/"><script>alert(1)</script>'})

    assert "<script>alert" not in response.content.decode()


@pytest.mark.parametrize("state", ["none", "malformed", "revoked", "inactive"])
def test_ended_session_goes_on_as_anonymous(api, user, state):
    """A refused refresh clears the cookies, and the browser goes on all the same."""
    api.log_in(user, "cookie")
    if state == "none":
        del api.cookies[REFRESH]
    if state == "malformed":
        api.cookies[REFRESH] = "abc"
    if state == "revoked":
        SessionFamily.objects.update(revoked_at=timezone.now())
    if state == "inactive":
        get_user_model().objects.update(is_active=False)

    response = submit(api)

    assert (response.status_code, response["Location"]) == (302, "/page/")
    assert clears_cookies(response)
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/whoami/"])
def test_navigation_of_an_ended_session_is_anonymous(api, user, path):
    """A navigation whose session has ended is anonymous, and loses its cookies."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    user.delete()

    response = api.get(path, **PAGE)

    assert response.status_code == 200
    assert clears_cookies(response)
    assert path == "/" or response.json() == {"user": "", "session": None}


def test_page_that_clears_cookies_is_in_no_cache(api, user):
    """A page that may be cached may not be, once it clears our cookies (HC-02)."""
    api.log_in(user, "cookie")
    user.delete()

    response = api.get("/", **PAGE)

    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("token", ["", "z" * 32])
def test_refresh_page_needs_its_csrf_token(api, user, token):
    """No other site submits the form (CS-02)."""
    api.log_in(user, "cookie")
    api.get("/plain/")
    before = rows()

    response = api.post(URL, {"next": "/page/", "csrfmiddlewaretoken": token})

    assert response.status_code == 403
    assert not touches_cookies(response)
    assert rows() == before


def test_refresh_page_is_not_replayed_from_early_data(api, user):
    """A refresh in TLS early data is answered 425 on the page, too (HC-03)."""
    api.log_in(user, "cookie")

    response = submit(api, HTTP_EARLY_DATA="1")

    assert response.status_code == 425
    assert not touches_cookies(response)


def test_refresh_page_without_a_database_offers_another_try(api, user):
    """A database that fails shows the form again, and keeps the cookies, I-6."""
    api.log_in(user, "cookie")

    with database_down():
        response = submit(api)

    html = response.content.decode()
    assert response.status_code == 503
    assert response["Retry-After"] == "1"
    assert response["Cache-Control"] == "no-store"
    assert '<p role="alert">' in html
    assert "<script" not in html
    assert not touches_cookies(response)
    assert submit(api)["Location"] == "/page/"


def test_theft_ends_at_the_refresh_page(api, user, settings):
    """A superseded cookie revokes its session on the page as anywhere, I-8."""
    settings.ROTATING_SESSIONS = {"GRACE_PERIOD": timedelta(0)}
    api.log_in(user, "cookie")
    stolen = api.cookies[REFRESH].value
    api.send("/auth/refresh/")
    api.send("/auth/refresh/")
    api.cookies[REFRESH] = stolen

    response = submit(api)

    assert clears_cookies(response)
    assert SessionFamily.objects.get().revoked_reason == RevokedReason.REUSED
