"""The first chapters: honest clients, whatever happens to them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from example_project.demo.clients import Device
from example_project.demo.scenery import (
    ACCESS_ONLY,
    AFTER_GRACE,
    FIREFOX,
    FULL,
    HOME,
    REFRESH_REQUIRED,
    TRAIN,
    WHOAMI,
)
from example_project.demo.telling import Answer, Story
from example_project.logins import ADA

__all__ = ["rotate"]


def rotate(story: Story, port: int) -> None:
    """
    Log in, refresh, lose an answer, open two tabs and take the train.

    Raises:
        Unexpected: The server answered otherwise than it must.
    """
    ada = Device(port, address=HOME, user_agent=FIREFOX)
    _log_in(story, ada)
    _refresh(story, ada)
    _lose_an_answer(story, ada)
    _refresh_in_two_tabs(story, ada)
    _change_networks(story, ada)


def _log_in(story: Story, ada: Device) -> None:
    story.step("Ada logs in, and calls the API.")
    story.expect("nobody", f"GET {WHOAMI}", ada.get(WHOAMI), "401")
    story.expect("Ada", "POST /auth/login/ (for RT0)", ada.log_in(ADA), FULL)
    _expect_access(story, "Ada", ada)


def _refresh(story: Story, ada: Device) -> None:
    story.step(
        "She refreshes.",
        "The refresh token RT0 is used up, and RT1 comes in its place.",
    )
    first = ada.refresh
    answer = ada.keep(ada.present(first))
    story.expect("Ada", "POST /auth/refresh/ with RT0", answer, FULL)
    story.claim("RT1 is another token than RT0", holds=ada.refresh != first)
    _expect_access(story, "Ada", ada)


def _lose_an_answer(story: Story, ada: Device) -> None:
    story.step(
        "An answer is lost on its way.",
        "The server has replaced RT1 by RT2, but Ada never hears of it, and tries RT1 "
        "again.",
        "Inside W she gets an access token only; after W a new refresh token, RT3.",
    )
    story.wait(AFTER_GRACE, "W is over, RT1 may be replaced")
    lost = ada.present(ada.refresh)
    story.expect("(lost)", "POST /auth/refresh/ with RT1", lost, FULL)
    answer = ada.keep(ada.present(ada.refresh))
    story.expect("Ada", "POST /auth/refresh/ with RT1", answer, ACCESS_ONLY)
    _expect_access(story, "Ada", ada)
    story.wait(AFTER_GRACE, "W is over, and nobody has shown RT2")
    answer = ada.keep(ada.present(ada.refresh))
    story.expect("Ada", "POST /auth/refresh/ with RT1", answer, FULL)
    holds = ada.refresh != lost.body["refresh"]
    story.claim("RT3 is another token than RT2: none is handed out twice", holds=holds)
    _expect_access(story, "Ada", ada)


def _refresh_in_two_tabs(story: Story, ada: Device) -> None:
    story.step(
        "Two tabs refresh at the same moment.",
        "Both present RT3. Exactly one gets RT4; the other keeps what the browser has.",
    )
    story.wait(AFTER_GRACE, "W is over, RT3 may be replaced")
    start = Barrier(2)

    def present(refresh: str) -> Answer:
        start.wait()
        return ada.present(refresh)

    with ThreadPoolExecutor(2) as tabs:
        answers = tabs.map(present, [ada.refresh, ada.refresh])
    access_only, full = sorted(answers, key=lambda answer: "refresh" in answer.body)
    does = "POST /auth/refresh/ with RT3"
    story.expect("one tab", does, full, FULL)
    story.expect("another", does, access_only, ACCESS_ONLY)
    ada.keep(full)


def _change_networks(story: Story, ada: Device) -> None:
    story.step(
        "Ada takes the train, and her network changes.",
        f"Her access token is from {HOME}, and of no use at {TRAIN}.",
        "She refreshes by herself and carries on: nobody has to log in again.",
    )
    _expect_access(story, "Ada", ada)
    ada.address = TRAIN
    answer = ada.get(WHOAMI)
    story.expect("on train", f"GET {WHOAMI}", answer, REFRESH_REQUIRED)
    answer = ada.keep(ada.present(ada.refresh))
    story.expect("on train", "POST /auth/refresh/ with RT4", answer, ACCESS_ONLY)
    _expect_access(story, "on train", ada)
    ada.address = HOME
    story.say("Back home, the new access token serves both networks:")
    _expect_access(story, "Ada", ada)


def _expect_access(story: Story, who: str, device: Device) -> None:
    story.expect(who, f"GET {WHOAMI}", device.get(WHOAMI), "200")
