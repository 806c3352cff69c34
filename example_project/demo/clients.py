"""Two clients: a program that holds its tokens, and a browser that holds cookies."""

from __future__ import annotations

import html
import http.client
import json
import re
from contextlib import closing
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from example_project.demo.scenery import HOST
from example_project.demo.telling import Answer
from example_project.logins import Login

__all__ = ["Browser", "Device"]

_TIMEOUT = 30  # seconds, for a machine that is busy
_PAGES = "text/html,application/xhtml+xml,*/*;q=0.8"
_HIDDEN_FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


class Device:
    """
    A client in header transport: it comes from an address, and keeps its tokens.

    The demo's server trusts one proxy, whose header is how a device says where it is.
    """

    def __init__(self, port: int, *, address: str, user_agent: str) -> None:
        self.address = address
        self.access = ""
        self.refresh = ""
        self._port = port
        self._user_agent = user_agent

    def log_in(self, login: Login) -> Answer:
        """Start a session, and keep its tokens."""
        body = {"username": login.username, "password": login.password}
        return self.keep(self.post("/auth/login/", body))

    def present(self, refresh: str) -> Answer:
        """Present a refresh token; whether to keep what comes is another matter."""
        return self.post("/auth/refresh/", {"refresh": refresh})

    def keep(self, answer: Answer) -> Answer:
        """Keep the tokens of an answer: one that it does not name stays as it was."""
        self.access = str(answer.body.get("access", self.access))
        self.refresh = str(answer.body.get("refresh", self.refresh))
        return answer

    def get(self, path: str) -> Answer:
        """Ask with the access token, if there is one."""
        return self.send("GET", path, headers=self._bearer())

    def post(self, path: str, body: dict[str, object] | None = None) -> Answer:
        """Post a JSON object, with the access token, if there is one."""
        headers = {"Content-Type": "application/json", **self._bearer()}
        return self.send("POST", path, body=json.dumps(body or {}), headers=headers)

    def send(
        self, method: str, path: str, *, body: str = "", headers: dict[str, str]
    ) -> Answer:
        """Send a request on a connection of its own."""
        headers = {
            "User-Agent": self._user_agent,
            "X-Forwarded-For": self.address,
            **headers,
        }
        connection = http.client.HTTPConnection(HOST, self._port, timeout=_TIMEOUT)
        with closing(connection):
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            text = response.read().decode()
        self._notice(response)
        return Answer(
            status=response.status, text=text, location=response.headers["Location"]
        )

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"} if self.access else {}

    def _notice(self, response: http.client.HTTPResponse) -> None:
        """Look at the headers: a program has nothing to do with them."""


class Browser(Device):
    """A client in cookie transport: it reads pages and sends forms, or JSON."""

    def __init__(self, port: int, *, address: str, user_agent: str) -> None:
        super().__init__(port, address=address, user_agent=user_agent)
        self.cookies: dict[str, str] = {}
        self._origin = f"http://{HOST}:{port}"

    def log_in(self, login: Login) -> Answer:
        """Start a session in cookie transport, as a script of a page would do it."""
        self.get("/auth/login/")
        body = {
            "username": login.username,
            "password": login.password,
            "transport": "cookie",
        }
        return self.post("/auth/login/", body)

    def get(self, path: str) -> Answer:
        """Ask for a page, and stay where a redirect begins."""
        return self.send("GET", path, headers={"Accept": _PAGES, **self._sent()})

    def post(self, path: str, body: dict[str, object] | None = None) -> Answer:
        """Post a JSON object, with the CSRF token that the cookie holds."""
        headers = {"Content-Type": "application/json", **self._sent()}
        headers["X-CSRFToken"] = self.cookies.get("csrftoken", "")
        return self.send("POST", path, body=json.dumps(body or {}), headers=headers)

    def submit(self, page: Answer, path: str, **fields: str) -> Answer:
        """Send the form of a page, with its hidden fields."""
        hidden = {
            name: html.unescape(value)
            for name, value in _HIDDEN_FIELD.findall(page.text)
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self._sent()}
        body = urlencode({**hidden, **fields})
        return self.send("POST", path, body=body, headers=headers)

    def _sent(self) -> dict[str, str]:
        pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": pairs, "Origin": self._origin}

    def _notice(self, response: http.client.HTTPResponse) -> None:
        """Keep and forget cookies as the server says."""
        for header in response.headers.get_all("Set-Cookie", []):
            for name, cookie in SimpleCookie(header).items():
                if cookie["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = cookie.value
