"""The pages of the example hold to what the endpoints of the app hold to."""

from __future__ import annotations

import pytest

from example_project.views import SignIn
from rotating_sessions.clients import read_client
from rotating_sessions.throttles import throttled_login


@pytest.mark.parametrize("spelled", ["ada.l", "ADA.L", "\u00e1da.l", "ada-l"])
def test_form_counts_a_name_together_with_the_login_endpoint(rf, spelled):
    """TH-02: No spelling of a name buys guesses beyond those of the endpoint."""
    request = rf.post("/", {"username": spelled})

    ident = SignIn().throttle_ident(request)

    assert ident == throttled_login(read_client(request).network, "ada.l")
