"""The front end, which is a page with the SDK in it, and the API behind it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NoReturn

from django.contrib.auth import authenticate
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from rest_framework.decorators import (
    api_view,
    authentication_classes,
    parser_classes,
    permission_classes,
)
from rest_framework.parsers import JSONParser
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from rotating_sessions.authentication import (
    RotatingSessionAuthentication,
    session_exempt,
)
from rotating_sessions.fdi.answers import ClaimFailure, InvalidClaims
from rotating_sessions.fdi.sessions import begin_session
from rotating_sessions.permissions import HasClaim, claim_required
from rotating_sessions.services import announce_login

_PAGE = """<!doctype html><html lang="en"><title>Front end</title>
<link rel="icon" href="data:,"><script src="/static/supertokens.js"></script></html>"""


def front_end(request: HttpRequest) -> HttpResponse:
    """Show a page in which nothing runs until a test says so."""
    return HttpResponse(_PAGE)


@session_exempt
@api_view(["POST"])
@authentication_classes([])
@permission_classes([AllowAny])
@parser_classes([JSONParser])
def sign_in(request: Request) -> Response:
    """Sign in with name and password, as docs/supertokens.md does."""
    user = authenticate(
        request, username=request.data["username"], password=request.data["password"]
    )
    if user is None:
        return Response({"status": "WRONG_CREDENTIALS_ERROR"})
    announce_login(request._request, user)
    response = Response({"status": "OK"})
    begin_session(request._request, response, user)
    return response


@api_view(["GET"])
@authentication_classes([RotatingSessionAuthentication])
@permission_classes([IsAuthenticated])
def whoami(request: Request) -> Response:
    """Answer with the user's name and the generation of the access token."""
    name = request.user.get_username()
    return Response({"username": name, "generation": request.auth.generation})


@api_view(["POST"])
@authentication_classes([RotatingSessionAuthentication])
@permission_classes([IsAuthenticated])
def note(request: Request) -> Response:
    """Take what only this front end may send."""
    return Response({"noted": request.data["text"]})


@api_view(["GET"])
@authentication_classes([RotatingSessionAuthentication])
@permission_classes([IsAuthenticated])
def staff(request: Request) -> Response:
    """Answer to staff only, by a claim that front ends know how to mend."""
    plain_staff(request)
    return Response({})


def plain_staff(request: HttpRequest) -> HttpResponse:
    """Answer to staff only, without DRF."""
    if not request.user.is_staff:
        reason = {"expected": "staff", "missing": True}
        raise InvalidClaims([ClaimFailure(id="st-role", reason=reason)])
    return HttpResponse()


class IsVerified(HasClaim):
    """By the claim that front ends know as that of the e-mail address."""

    claim = "st-ev"


@api_view(["GET"])
@authentication_classes([RotatingSessionAuthentication])
@permission_classes([IsVerified])
def verified(request: Request) -> Response:
    """Answer to verified addresses only."""
    return Response({})


@claim_required("st-ev", max_age=timedelta(minutes=1))
def plain_verified(request: HttpRequest) -> HttpResponse:
    """Answer to verified addresses only, without DRF."""
    return HttpResponse()


def claims(user: AbstractBaseUser) -> dict[str, Any]:
    """Say what the user's row says, at this moment."""
    user.refresh_from_db()
    return {"st-ev": bool(user.email), "st-role": ["reader"], "plan": "free"}


def broken(request: HttpRequest) -> NoReturn:
    """Fail, as views do."""
    raise ZeroDivisionError
