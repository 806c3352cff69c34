"""Error reports about the endpoints, under DEBUG."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.db import ProgrammingError
from django.views import debug
from django.views.debug import SafeExceptionReporterFilter

from tests.browsing import database_down

pytestmark = pytest.mark.django_db

LOCATION = "collector.example"


class DiscreetFilter(SafeExceptionReporterFilter):
    """A filter of the site's, which hides one setting more."""

    hidden_settings = re.compile("COLLECTOR")


@pytest.fixture
def discreet(settings) -> Iterator[None]:
    """Let the site filter error reports by a class of its own, under DEBUG."""
    settings.DEBUG = True
    settings.COLLECTOR = LOCATION
    settings.DEFAULT_EXCEPTION_REPORTER_FILTER = f"{__name__}.DiscreetFilter"
    debug.get_default_exception_reporter_filter.cache_clear()
    yield
    debug.get_default_exception_reporter_filter.cache_clear()


@pytest.mark.usefixtures("discreet")
def test_error_page_hides_what_the_site_hides_and_tokens(api, user):
    """LG-01: The site's own filter of error reports serves under DEBUG, too."""
    refresh = api.log_in(user)["refresh"]
    api.raise_request_exception = False

    with database_down("UPDATE ", error=ProgrammingError):
        response = api.send("/auth/refresh/", {"refresh": refresh})

    page = response.content.decode()
    assert response.status_code == 500
    assert "COLLECTOR" in page
    assert LOCATION not in page
    assert refresh not in page
