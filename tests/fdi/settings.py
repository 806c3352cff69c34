"""The browser tests' site, as one that has left the SuperTokens core."""

from __future__ import annotations

from corsheaders.defaults import default_headers

from rotating_sessions.fdi.names import REQUEST_HEADERS
from tests import settings as suite
from tests.browser.settings import *  # noqa: F403 - all but what follows
from tests.browser.settings import INSTALLED_APPS as _APPS
from tests.browser.settings import MIDDLEWARE as _MIDDLEWARE
from tests.browser.settings import ROTATING_SESSIONS as _SETTINGS

INSTALLED_APPS = ["corsheaders", *_APPS, "rotating_sessions.fdi"]
MIDDLEWARE = [
    "corsheaders.middleware.CorsMiddleware",
    *(name for name in _MIDDLEWARE if not name.startswith("example_project.")),
]
MIDDLEWARE.insert(-1, "rotating_sessions.fdi.middleware.FdiMiddleware")
ROOT_URLCONF = "tests.fdi.urls"
ROTATING_SESSIONS = {**_SETTINGS, "CLAIMS": "tests.fdi.views.claims"}
# Where the SDK is built to.
STATICFILES_DIRS = [suite.FILES / "build" / "supertokens"]

CORS_ALLOWED_ORIGIN_REGEXES = [r"^http://(127\.0\.0\.1|localhost):\d+$"]
CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_HEADERS = [*default_headers, *REQUEST_HEADERS]
