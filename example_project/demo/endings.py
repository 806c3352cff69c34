"""The chapters in which sessions end: by theft, and on purpose."""

from __future__ import annotations

from example_project.demo.clients import Device
from example_project.demo.scenery import (
    AFTER_GRACE,
    CHROME,
    ELSEWHERE,
    ENDED,
    FIREFOX,
    FULL,
    HOME,
    REFRESH_REQUIRED,
    SAFARI,
    WHOAMI,
)
from example_project.demo.telling import Story
from example_project.logins import GRACE

__all__ = ["end"]


def end(story: Story, port: int) -> None:
    """
    Steal a token, log out of one device of three, and log out everywhere.

    Raises:
        Unexpected: The server answered otherwise than it must.
    """
    _steal(story, port)
    laptop, desktop = _log_out(story, port)
    _log_out_everywhere(story, laptop, desktop)


def _steal(story: Story, port: int) -> None:
    grace = Device(port, address=HOME, user_agent=CHROME)
    thief = Device(port, address=ELSEWHERE, user_agent=SAFARI)
    story.step(
        "RT0 is stolen.",
        "Grace logs in, and a thief copies both her tokens. He refreshes first.",
        "When she presents RT0, it was replaced, and its successor is in use: theft.",
    )
    story.expect("Grace", "POST /auth/login/ (for RT0)", grace.log_in(GRACE), FULL)
    thief.access, thief.refresh = grace.access, grace.refresh
    answer = thief.get(WHOAMI)
    story.expect("thief", f"GET {WHOAMI}", answer, REFRESH_REQUIRED)
    answer = thief.keep(thief.present(thief.refresh))
    story.expect("thief", "POST /auth/refresh/ with RT0", answer, FULL)
    _work(story, "thief", thief)
    story.wait(AFTER_GRACE, "W is over, and Grace refreshes")
    does = "POST /auth/refresh/ with RT0"
    story.expect("Grace", does, grace.present(grace.refresh), ENDED)
    story.say("Both are out at once, with access tokens too:")
    does = "POST /auth/refresh/ with RT1"
    story.expect("thief", does, thief.present(thief.refresh), ENDED)
    story.expect("thief", f"GET {WHOAMI}", thief.get(WHOAMI), ENDED)
    story.expect("Grace", f"GET {WHOAMI}", grace.get(WHOAMI), ENDED)


def _log_out(story: Story, port: int) -> tuple[Device, Device]:
    story.step("Grace logs in on three devices, and logs out of one.")
    devices = {
        name: Device(port, address=HOME, user_agent=user_agent)
        for name, user_agent in (
            ("laptop", FIREFOX),
            ("phone", SAFARI),
            ("desktop", CHROME),
        )
    }
    for name, device in devices.items():
        story.expect(name, "POST /auth/login/", device.log_in(GRACE), FULL)
    laptop, phone, desktop = devices.values()
    answer = desktop.get("/auth/sessions/")
    story.expect("desktop", "GET /auth/sessions/", answer, "200")
    story.claim("three sessions are listed", holds=len(answer.body["results"]) == 3)
    story.expect("phone", "POST /auth/logout/", phone.post("/auth/logout/"), "204")
    story.expect("phone", f"GET {WHOAMI}", phone.get(WHOAMI), ENDED)
    answer = phone.present(phone.refresh)
    story.expect("phone", "POST /auth/refresh/", answer, ENDED)
    _work(story, "laptop", laptop)
    _work(story, "desktop", desktop)
    return laptop, desktop


def _log_out_everywhere(story: Story, laptop: Device, desktop: Device) -> None:
    story.step("She logs out everywhere.")
    _work(story, "laptop", laptop)
    answer = laptop.post("/auth/logout-everywhere/")
    story.expect("laptop", "POST /auth/logout-everywhere/", answer, "200")
    story.claim("two sessions have ended", holds=answer.body == {"revoked": 2})
    for name, device in (("laptop", laptop), ("desktop", desktop)):
        story.expect(name, f"GET {WHOAMI}", device.get(WHOAMI), ENDED)
        answer = device.present(device.refresh)
        story.expect(name, "POST /auth/refresh/", answer, ENDED)


def _work(story: Story, who: str, device: Device) -> None:
    """Call the API as the client's contract has it: refresh where it is asked for."""
    answer = device.get(WHOAMI)
    if answer.status == 401:
        story.expect(who, f"GET {WHOAMI}", answer, REFRESH_REQUIRED)
        answer = device.keep(device.present(device.refresh))
        story.expect(who, "POST /auth/refresh/", answer, FULL)
        answer = device.get(WHOAMI)
    story.expect(who, f"GET {WHOAMI}", answer, "200")
