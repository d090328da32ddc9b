"""Takes the pictures of the README from a running product: ``make run`` in one terminal, ``make screenshots`` in another."""

from __future__ import annotations

import json
import os
import shutil
from io import BytesIO
from pathlib import Path

import pyotp
from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
# Each picture: the page, which links of that page lead to details, where details are wanted, and which of them to follow.
PAGES = {
    "workbench": ("/admin/", "", 0),
    "member": ("/admin/members/", "td a[href^='/admin/members/']", 20),
    "points": ("/admin/points/health", "", 0),
    "coupons": ("/admin/coupon_templates/", "td a[href^='/admin/coupon_templates/']", 0),
    "orders": ("/admin/orders/", "", 0),
    "ticket": ("/admin/feedback/?tab=all", "td a[href^='/admin/feedback/T']", 4),
    "messages": ("/admin/messages/", "", 0),
}
# Charts draw themselves for a second.
_SETTLED_MS = 1500
_COLOURS = 160


def log_in(page: Page, base: str, account: dict[str, str]) -> None:
    """Log a member of staff in with password and one-time code."""
    page.goto(f"{base}/admin/login")
    page.fill("input[name=email]", account["email"])
    page.fill("input[name=password]", account["password"])
    page.click("button[type=submit]")
    if page.locator("input[name=code]").count():
        page.fill("input[name=code]", pyotp.TOTP(account["totp_secret"]).now())
        page.click("button[type=submit]")
    page.wait_for_url("**/admin/")


def take(page: Page, base: str, name: str) -> None:
    """Save what one page looks like, in few colours, so that the repository stays small."""
    path, links, which = PAGES[name]
    page.goto(base + path)
    if links:
        page.goto(base + str(page.locator(links).nth(which).get_attribute("href")))
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(_SETTLED_MS)
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    picture.save(PICTURES / f"{name}.png", optimize=True)


def main() -> None:
    """Open the pages at 1440 pixels and save what they look like."""
    demo = json.loads((Path(os.environ.get("HUIBAN_DATA_DIR", "var")) / "demo.json").read_text())
    account = next(account for account in demo["staff"] if account["role"] == os.environ.get("ROLE", "operations"))
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="zh-CN")
        log_in(page, demo["base_url"], account)
        for name in PAGES:
            take(page, demo["base_url"], name)
        browser.close()


if __name__ == "__main__":
    main()
