"""Takes the pictures of the README from a running product: ``make run`` in one terminal, ``make screenshots`` in another."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pyotp
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
PAGES = {
    "workbench": "/admin/",
    "members": "/admin/members/",
    "points": "/admin/points/",
    "coupons": "/admin/coupons/",
    "orders": "/admin/orders/",
    "desk": "/admin/feedback/",
    "messages": "/admin/notifications/",
}


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
        for name, path in PAGES.items():
            page.goto(demo["base_url"] + path)
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(600)
            page.screenshot(path=PICTURES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
