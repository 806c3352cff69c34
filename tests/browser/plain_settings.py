"""The same site, but with the package's own templates in place of the example's."""

from __future__ import annotations

from pathlib import Path

import rotating_sessions
from tests.browser.settings import *  # noqa: F403 - all but what follows
from tests.browser.settings import TEMPLATES as _TEMPLATES

_OWN = Path(rotating_sessions.__file__).parent / "templates"
TEMPLATES = [{**_TEMPLATES[0], "DIRS": [_OWN]}]
