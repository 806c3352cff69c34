"""The pages of a server-rendered site, and one view of an API."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib.auth import user_logged_in
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import redirect_to_login
from django.core import mail
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.generic import FormView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from rotating_sessions.authentication import session_exempt
from rotating_sessions.clients import read_client
from rotating_sessions.conf import get_conf
from rotating_sessions.exceptions import InvalidToken
from rotating_sessions.models import RevokedReason
from rotating_sessions.permissions import recent_login_required
from rotating_sessions.services import (
    end_proven_session,
    select_sessions,
    start_session,
)
from rotating_sessions.throttles import LoginThrottle, throttled_login
from rotating_sessions.transports import (
    COOKIE,
    clear_cookies,
    read_refresh_cookie,
    write_tokens,
)

__all__ = [
    "SignIn",
    "WhoAmI",
    "account",
    "export",
    "home",
    "mails",
    "sign_in",
    "sign_out",
]


@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show what there is to see, to everybody."""
    return render(request, "example_project/home.html", {"has_mails": settings.DEBUG})


@never_cache
@require_safe
def mails(request: HttpRequest) -> HttpResponse:
    """Show the mails that this process would have sent, in development."""
    if not settings.DEBUG:
        raise Http404
    sent = reversed(getattr(mail, "outbox", []))
    return render(request, "example_project/mails.html", {"mails": sent})


@never_cache
@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Show the user who they are, and where they are logged in."""
    if request.session_family is None:
        # Staff logged in to the admin have a session of Django, and none of ours.
        return redirect_to_login(request.get_full_path())
    grace_period = get_conf().grace_period
    context = {
        "current": request.session_family.family_id,
        "sessions": select_sessions(user_pk=request.user.pk).order_by("-created_at"),
        # A browser gives up on a refresh after half of W, and tries again.
        "refresh_timeout": int(grace_period.total_seconds() * 1000 / 2),
    }
    return render(request, "example_project/account.html", context)


@recent_login_required
@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """Show all that the site knows of the user."""
    body = {
        "username": request.user.get_username(),
        "email": request.user.email,
        "sessions": select_sessions(user_pk=request.user.pk).count(),
    }
    return JsonResponse(body, headers={"Cache-Control": "no-store"})


class SignIn(FormView):
    """
    Log in by a plain form, which works without scripts.

    With scripts the page posts JSON to the login endpoint instead.
    """

    form_class = AuthenticationForm
    template_name = "example_project/sign_in.html"

    def throttle_ident(self, request: HttpRequest) -> str:
        """Count by network and user name, together with the login endpoint."""
        name = request.POST.get("username", "")
        return throttled_login(read_client(request).network, name)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the form to whoever is not logged in."""
        if request.session_family is not None and request.user.is_authenticated:
            return redirect(self.get_success_url())
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check the password, unless too many were tried."""
        if LoginThrottle().allow_request(request, self):
            return super().post(request, *args, **kwargs)
        return self.render_to_response({"next": self.get_success_url()}, status=429)

    def get_form_kwargs(self) -> dict[str, Any]:
        """Give the form the request, which authentication backends may look at."""
        return super().get_form_kwargs() | {"request": self.request}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Tell the page where to go afterwards."""
        return super().get_context_data(next=self.get_success_url(), **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Start a session, and put its tokens into cookies."""
        user = form.get_user()
        response = redirect(self.get_success_url())
        pair = start_session(self.request, user, transport=COOKIE)
        write_tokens(response, pair)
        rotate_token(self.request)
        user_logged_in.send(sender=type(user), request=self.request, user=user)
        return response

    def get_success_url(self) -> str:
        """Return the page that was asked for, if it is one of this site."""
        asked = self.request.POST.get("next") or self.request.GET.get("next")
        if url_has_allowed_host_and_scheme(
            asked,
            allowed_hosts={self.request.get_host()},
            require_https=self.request.is_secure(),
        ):
            return asked
        return reverse("account")


# Both are forms, and must not be answered "refresh first" when they are posted late.
sign_in = session_exempt(never_cache(SignIn.as_view()))


@session_exempt
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session of this browser, however old its access token is."""
    refresh = read_refresh_cookie(request)
    # Without a session to end, the browser forgets its cookies all the same.
    with suppress(InvalidToken):
        end_proven_session(refresh or "", reason=RevokedReason.LOGOUT)
    response = redirect("home")
    clear_cookies(response)
    return response


class WhoAmI(APIView):
    """One protected view of an API: by access token or cookie, it makes no odds."""

    def get(self, request: Request) -> Response:
        """Answer with the user and the session that ask."""
        body = {
            "username": request.user.get_username(),
            "generation": request.auth.generation,
            "session": str(request.auth.family_id),
            "expires_at": request.auth.expires_at,
        }
        return Response(body, headers={"Cache-Control": "no-store"})
