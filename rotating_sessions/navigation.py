"""Browsers that ask for pages: the way through one of ours, and back."""

from __future__ import annotations

from django.core.exceptions import DisallowedRedirect
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.encoding import iri_to_uri
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

from rotating_sessions.transports import forbid_caching

__all__ = ["asks_for_page", "checked_next", "redirect_back", "redirect_through"]


def asks_for_page(request: HttpRequest) -> bool:
    """Tell whether a browser asks for a page, rather than a script for data."""
    if request.method != "GET" or "text/html" not in request.headers.get("Accept", ""):
        return False
    # Every browser of today says so; where there is no such header, `Accept` has to do.
    return request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


def redirect_through(request: HttpRequest, page: str) -> HttpResponse | None:
    """Return the way to a page of ours and back, or None where it is not mounted."""
    try:
        address = reverse(page)
    except NoReverseMatch:
        return None
    query = urlencode({"next": request.get_full_path()})
    try:
        response = HttpResponseRedirect(f"{address}?{query}")
    except DisallowedRedirect:
        # Django redirects to no address as long as this one: the way back is the root.
        response = HttpResponseRedirect(address)
    forbid_caching(response)
    return response


def redirect_back(target: str) -> HttpResponse:
    """Return the way to where a page of ours leads back to."""
    try:
        # Encoded, because that is what Django's releases do not all measure.
        return HttpResponseRedirect(iri_to_uri(target))
    except DisallowedRedirect:
        return HttpResponseRedirect("/")


def checked_next(request: HttpRequest, target: str | None) -> str:
    """Return where to go on: a page of this site, or its root."""
    if target is not None and url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return target
    return "/"
