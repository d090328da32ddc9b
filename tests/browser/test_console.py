"""Every page of the console in a real browser, wide and narrow: nothing overflows, nothing fails, nothing is left in English."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.committing]
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
ROLES = ("运营", "客服", "店员", "系统管理", "安全", "审计")
FORMS = re.compile(r"/(new|edit|redeem|issue|adjust|scan|settings|create)\b")


def sign_in(page, console: str, role: str) -> None:
    page.goto(f"{console}/admin/login/")
    page.get_by_role("button", name=role, exact=True).click()
    page.wait_for_url("**/login/code")
    page.locator(".demo button").click()
    page.wait_for_url(f"{console}/admin/")


def pages_of(page, console: str) -> list[str]:
    """Return every page of the menu, and below each the first detail page and the first forms it leads to."""
    found = []
    menu = page.eval_on_selector_all(".side nav a", "links => links.map(link => link.getAttribute('href'))")
    for path in menu:
        page.goto(console + path)
        found.append(path)
        links = page.eval_on_selector_all("main a[href^='/admin/']", "links => links.map(link => link.getAttribute('href'))")
        below = [
            link
            for link in dict.fromkeys(links)
            if link.startswith(path) and link.rstrip("/") != path.rstrip("/") and "?" not in link and path != "/admin/"
        ]
        forms = [link for link in below if FORMS.search(link)]
        details = [link for link in below if not FORMS.search(link)]
        found.extend([*details[:1], *forms[:2]])
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("role", ROLES, ids=("operations", "service", "store", "admin", "security", "auditor"))
def test_every_page_of_a_role_stands_wide_and_narrow(console, browser, tmp_path, role):
    context = browser.new_context(viewport=WIDE, locale="zh-CN")
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on("console", lambda message: faults.append(f"{page.url}: {message.text}") if message.type == "error" else None)
    page.on("dialog", lambda dialog: (faults.append(f"{page.url}: dialog {dialog.message}"), dialog.dismiss()))
    sign_in(page, console, role)
    for path in pages_of(page, console):
        name = re.sub(r"\W+", "_", path).strip("_")[:80]
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)
            answer = page.goto(console + path)
            if answer is None or answer.status != 200:
                faults.append(f"{path}: {answer and answer.status}")
            page.wait_for_load_state("networkidle")
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > size["width"]:
                faults.append(f"{path}: {width} px wide on {size['width']}")
            page.screenshot(path=tmp_path / f"{name}_{size['width']}.png", full_page=True)
    context.close()
    assert faults == []


def test_the_drawer_opens_on_a_telephone_and_the_language_switches(console, browser):
    context = browser.new_context(viewport=NARROW, locale="zh-CN")
    page = context.new_page()
    sign_in(page, console, "运营")
    assert page.locator("body.drawer-open").count() == 0
    page.locator(".menu-button").click()
    page.locator("body.drawer-open").wait_for()
    assert page.locator(".side nav a.current").is_visible()
    page.keyboard.press("Escape")
    page.locator("body:not(.drawer-open)").wait_for()
    page.locator(".head .lang").click()
    page.wait_for_load_state()
    assert page.locator(".crumbs .here").inner_text() == "Workbench"
    context.close()


def test_a_change_asks_for_its_reason_first_and_is_done_once(console, browser):
    context = browser.new_context(viewport=WIDE, locale="zh-CN")
    page = context.new_page()
    sign_in(page, console, "安全")
    page.goto(f"{console}/admin/staff/")
    page.get_by_role("link", name="周子涵").click()
    page.get_by_role("button", name="停用").click()
    assert page.locator("#ask").is_visible()
    page.locator("#ask .yes").click()
    assert page.locator("#ask").is_visible()
    page.locator("#ask textarea").fill("离职")
    page.locator("#ask .yes").click()
    page.wait_for_selector(".notice.success")
    assert "账号已停用" in page.content()
    assert "离职" in page.content()
    context.close()
