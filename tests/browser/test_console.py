"""Every page of the console in a real browser, in both languages, wide and narrow: nothing overflows, nothing fails, nothing is left untranslated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from server.kernel.actors import SystemActor
from server.staff import service
from tests.browser.walking import NARROW, PATIENCE, ROLES, WIDE, faults_of, pages_of, speak

pytestmark = pytest.mark.browser
# Interface texts stand in these, among data, which is Chinese in both languages.
TEXTS = "main h1, main h2, main label, main th, main dt, main dd, main td span, main .tag, main .button, main option, .hint, .empty *, .side nav a"
SETTLING = 10_000
LOCALES = Path(__file__).parents[2] / "config" / "locale" / "zh_CN"
# Chinese texts that are data of the demonstration as well as texts of the interface, and names that are the same in both languages.
SAME = {"生日祝福", "生日礼"}


def catalogue() -> dict[str, set[str]]:
    """Return, for each language, the texts of the other one that must not be on a page."""
    english, chinese = set(), set()
    for path in LOCALES.glob("*.po"):
        with path.open("rb") as file:
            for message in read_po(file):
                if isinstance(message.id, str) and message.id and isinstance(message.string, str) and message.id != message.string:
                    english.add(message.id)
                    chinese.add(message.string)
    return {"zh": english - {"SKU"}, "en": {text for text in chinese if re.search("[\u4e00-\u9fff]", text)} - SAME}


@pytest.mark.parametrize("role", ROLES)
def test_every_page_of_a_role_stands_wide_and_narrow_in_both_languages(console, opened, tmp_path, role):
    page = opened(role, viewport=WIDE)
    page.set_default_timeout(PATIENCE)
    faults = faults_of(page)
    page.goto(f"{console}/admin/")
    paths, foreign = pages_of(page, console), catalogue()
    for language in ("zh", "en"):
        speak(page, console, language)
        for path in paths:
            # Wide and narrow are one page laid out twice, so it is fetched once.
            page.set_viewport_size(WIDE)
            answer = page.goto(console + path, wait_until="load")
            if answer is None or answer.status != 200:
                faults.append(f"{path}: {answer and answer.status}")
            for size in (WIDE, NARROW):
                page.set_viewport_size(size)
                try:
                    # Charts follow the new width a moment later.
                    page.wait_for_function("most => document.documentElement.scrollWidth <= most", arg=size["width"], timeout=SETTLING)
                except PlaywrightTimeoutError:
                    width = page.evaluate("document.documentElement.scrollWidth")
                    faults.append(f"{path} in {language}: {width} px wide on {size['width']}")
                    page.screenshot(
                        path=tmp_path / f"{re.sub(r'[^a-z0-9]+', '_', path)[:80]}_{language}_{size['width']}.png", full_page=True
                    )
            texts = set(page.eval_on_selector_all(TEXTS, "found => found.map(one => one.textContent.trim())"))
            faults += [f"{path} in {language}: {text}" for text in sorted(texts & foreign[language])]
    assert faults == []


def test_the_drawer_opens_on_a_telephone_and_the_language_switches(console, opened):
    page = opened("operations", viewport=NARROW)
    page.goto(f"{console}/admin/")
    assert page.locator("body.drawer-open").count() == 0
    page.locator(".menu-button").click()
    page.locator("body.drawer-open").wait_for()
    assert page.locator(".side nav a.current").is_visible()
    page.keyboard.press("Escape")
    page.locator("body:not(.drawer-open)").wait_for()
    page.locator(".head .lang").click()
    page.wait_for_load_state()
    assert page.locator(".crumbs .here").inner_text() == "Workbench"


def test_a_change_asks_for_its_reason_first_and_is_done_once(console, console_core, opened):
    console_core.db.run(
        lambda session: service.create(
            session,
            email="clerk@example.com",
            name="钱进",
            password="kqzv-7712-Berg-hain",
            roles=["store"],
            actor=SystemActor("tests"),
            reason="tests",
            now=console_core.clock.now(),
        )
    )
    page = opened("security", viewport=WIDE)
    page.goto(f"{console}/admin/")
    page.goto(f"{console}/admin/staff/")
    page.get_by_role("link", name="钱进").click()
    page.get_by_role("button", name="停用").click()
    assert page.locator("#ask").is_visible()
    page.locator("#ask .yes").click()
    assert page.locator("#ask").is_visible()
    page.locator("#ask textarea").fill("离职")
    page.locator("#ask .yes").click()
    page.wait_for_selector(".notice.success")
    assert "账号已停用" in page.content()
    assert "离职" in page.content()


def test_the_second_and_third_button_of_a_form_do_what_they_say(console, opened):
    page = opened("operations", viewport=WIDE)
    page.set_default_timeout(PATIENCE)
    page.goto(f"{console}/admin/points-rules/new/per_amount")
    for name, text in (("code", "browser-made"), ("name", "Browser-made"), ("fen_per_point", "3")):
        page.fill(f"input[name={name}]", text)
    page.fill("textarea[name=reason]", "Enough to publish it")
    page.click("button[name=preview]")
    page.get_by_text("每消费3元得1分").wait_for()
    page.click("button[name=draft]")
    page.wait_for_url("**/points-rules/drafts")
    assert "browser-made" in page.content()
    assert page.goto(f"{console}/admin/points-rules/browser-made").status == 404, "a draft holds for nobody yet"


def test_the_keyboard_reaches_what_can_be_done_and_shows_where_it_is(console, opened):
    page = opened("operations", viewport=WIDE)
    page.goto(f"{console}/admin/")
    reached: set[str] = set()
    unseen: list[str] = []
    for path in ("/admin/", "/admin/members/", "/admin/points/adjust"):
        page.goto(console + path)
        tab_through(page, reached, unseen)
    assert unseen == []
    assert reached >= {"A", "INPUT", "SELECT", "TEXTAREA", "BUTTON"}


def tab_through(page, reached: set[str], unseen: list[str]) -> None:
    for _ in range(70):
        page.keyboard.press("Tab")
        one = page.evaluate(
            """() => { const at = document.activeElement, look = getComputedStyle(at);
            return {tag: at.tagName, name: at.name || at.innerText || at.getAttribute('aria-label') || '', inside: !!at.closest('main'),
                    ring: (look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) > 0) || look.boxShadow !== 'none'}; }"""
        )
        if one["tag"] == "BODY":
            break
        if one["inside"]:
            reached.add(one["tag"])
        if not one["ring"]:
            unseen.append(f"{one['tag']} {one['name'][:30]}")
