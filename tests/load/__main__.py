"""
Put a site under load: `python -m tests.load [--deep]`.

Starts gunicorn on the loopback with a PostgreSQL database of its own, lets sessions
and thieves at it, and exits with 1 if an honest session ended, a theft went unnoticed
or the server failed.

The driver is asyncio with h11, and not locust. Locust counts requests of users who do
not know of each other. Here the verdict is about sessions: what two tabs share, whether
the answer that was dropped was a full one, what a thief holds beside his victim; and
connections have to break between a request and its answer, which takes the socket. h11
speaks HTTP, and leaves the socket to us.
"""

from __future__ import annotations

import os
import sys

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.load.settings"
django.setup()

from tests.load.run import main  # noqa: E402 - models are imported only now

sys.exit(main())
