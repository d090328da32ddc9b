"""What the browser tests share: signing in, the pages a role can reach, and what counts as a fault."""

from __future__ import annotations

import re

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
ROLES = {"operations": "运营", "service": "客服", "store": "店员", "admin": "系统管理", "security": "安全", "auditor": "审计"}
FORMS = re.compile(r"/(new|edit|redeem|issue|adjust|scan|settings|create)\b")
PATIENCE = 60_000  # a busy machine takes its time; nothing here is measured by it


def sign_in(page, console: str, role: str) -> None:
    page.goto(f"{console}/admin/login/")
    page.get_by_role("button", name=ROLES[role], exact=True).click()
    page.wait_for_url("**/login/code")
    page.locator(".demo button").click()
    page.wait_for_url(f"{console}/admin/")


def speak(page, console: str, language: str) -> None:
    page.goto(f"{console}/admin/language/{language}?next=/admin/")


def faults_of(page) -> list[str]:
    """Return a list that grows with whatever goes wrong in the page: failures of scripts, refused resources, questions nobody asked."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on("console", lambda message: faults.append(f"{page.url}: {message.text}") if message.type == "error" else None)
    page.on("dialog", lambda dialog: (faults.append(f"{page.url}: dialog {dialog.message}"), dialog.dismiss()))
    return faults


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
