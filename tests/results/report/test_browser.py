"""The page in a real browser: what the words light up, with a mouse, the keyboard and a finger."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perceptio.results import Mask

from ..conftest import answer

CHROMIUM = shutil.which("chromium")
BOX = np.zeros((40, 30), bool)
BOX[5:20, 3:9] = True
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: scripts/ensure_browser.sh"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(params=["page", "notebook"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    masks = [Mask(BOX, 0.9, "the cube"), Mask(BOX[:, ::-1].copy(), 0.8, "the cone")]
    found = answer(text="It is the cube beside the cone.", masks=masks)
    path = tmp_path / "page.html"
    path.write_text(found.html() if request.param == "page" else found._repr_html_(), encoding="utf-8")
    return path.as_uri()


def shown(page: Any) -> list[float]:
    """The opacity of each mask, 0 where it is hidden."""
    page.wait_for_timeout(250)  # the change takes an eighth of a second
    script = "all => all.map(each => getComputedStyle(each).display == 'none' ? 0 : +getComputedStyle(each).opacity)"
    opacities: list[float] = page.locator(".mask").evaluate_all(script)
    return opacities


def test_mouse_and_keyboard(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 900, "height": 700})
    page.goto(address)
    cube, cone = page.locator(".word").all()
    assert shown(page) == [1, 1]
    cone.hover()
    assert shown(page) == [0.12, 1]
    page.mouse.move(0, 0)
    page.keyboard.press("Tab")
    assert cube.evaluate("each => each == document.activeElement")
    assert shown(page) == [1, 0.12]
    page.locator("input").first.uncheck()
    page.locator("input").first.blur()
    page.mouse.move(0, 0)
    assert shown(page) == [0, 1]
    page.close()


def test_finger_on_a_phone(browser: Any, address: str) -> None:
    context = browser.new_context(**PHONE)
    page = context.new_page()
    page.goto(address)
    page.locator(".word").nth(1).tap()
    assert shown(page) == [0.12, 1]
    if "viewport" in page.content():  # a notebook sets its own
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_follows_the_system_and_asks_for_nothing(browser: Any, scheme: str, tmp_path: Path) -> None:
    path = answer().save_html(tmp_path / "page.html")
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.goto(path.as_uri())
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper.strip("rgb()").split(","))) > 380) == (scheme == "light")
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert problems == []  # the policy refused nothing of our own
    assert page.locator("img").evaluate_all("all => all.every(each => each.naturalWidth > 0)")
    context.close()
