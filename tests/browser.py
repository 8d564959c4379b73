"""A real browser for the tests of the explorer's page: Debian's Chromium, driven by Playwright."""

import contextlib
import os
import re
import shutil

import numpy as np
import pytest

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
FLAGS = [
    "--no-sandbox",  # needed where the tests run as root, as in a container
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
LOCALES = {"en": "en-US", "zh": "zh-CN"}


@pytest.fixture(scope="module")
def chromium():
    """A browser, for the tests of one module."""
    missing = None
    if CHROMIUM is None:
        missing = "the page's tests need Chromium, for example: apt-get install chromium"
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "the page's tests need Playwright: make test installs it"
    if missing:
        if os.environ.get("ATTAR_REQUIRE_BROWSER"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def explore(chromium):
    """Open a room in the browser: explore("extract?kernel=edge", width=360) -> page.

    Fails the test where the page logs an error or throws one.
    """
    from attar.explorer.app import State
    from attar.explorer.server import Server

    with contextlib.ExitStack() as stack:
        troubles = []

        def open_page(
            path="extract", *, width=1280, height=900, theme="light", lang="en", state=None
        ):
            server = stack.enter_context(Server(state or State(), port=0))
            context = chromium.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
                locale=LOCALES[lang],
                reduced_motion="reduce",
            )
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(20_000)
            page.on(
                "console", lambda message: message.type == "error" and troubles.append(message.text)
            )
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.goto(f"{server.origin}/{path}#token={server.token}")
            page.server = server
            return page

        yield open_page
        assert not troubles


def expect(it):
    """Assert what Playwright waits for. Without it, only the tests of the page are skipped."""
    from playwright.sync_api import expect

    return expect(it)


def has(page, pattern):
    """Wait until the address has this."""
    expect(page).to_have_url(re.compile(pattern))


def pixels(page, selector):
    """The pixels of a canvas, uint8 (H, W, 4). Give the canvas of a panel: "#detect canvas.map"."""
    found = page.eval_on_selector(
        selector,
        """canvas => {
            const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let text = '';
            for (let i = 0; i < data.length; i += 32768)
                text += String.fromCharCode(...data.subarray(i, i + 32768));
            return [canvas.height, canvas.width, btoa(text)];
        }""",
    )
    import base64

    height, width, text = found
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)


def colours_of(levels, table):
    """The pixels of levels in a colour table of the page, uint8 (H, W, 3)."""
    from attar.explorer.palettes import palettes

    packed = np.array(palettes()["tables"][table])[levels]
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8)


def serious(page):
    """What axe-core finds at the page that is serious or worse: a list of texts."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
