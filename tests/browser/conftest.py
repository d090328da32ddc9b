"""A whole console with the demonstration in it, served to Debian's Chromium.

Loading the demonstration takes longer than most of these tests, so one console serves them all: they change different things of it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.serving import make_server

from config.settings import load_settings
from server.audit import service as audit
from server.bootstrap import build_core
from server.migrations.runner import upgrade
from tasks.demo import load_demo
from tests.browser.walking import ROLES, sign_in
from tests.fakes.wechat import FakeWeChat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from server.bootstrap import Core

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def console_core(tmp_path_factory) -> Iterator[Core]:
    """Give the core of the console; one engine is enough for the look of the pages. Its clock is the machine's, as the browser's is."""
    if not CHROMIUM.exists():
        pytest.skip("Debian's Chromium is not installed")
    folder = tmp_path_factory.mktemp("console")
    settings = load_settings(
        database_url=f"sqlite:///{folder / 'console.db'}", data_dir=folder / "data", log_format="text", log_level="ERROR"
    )
    core = build_core(settings, wechat=FakeWeChat())
    upgrade(core.db.engine)
    load_demo(core)
    core.db.run(lambda session: audit.seal(session, core.clock.now()))
    yield core
    core.close()


@pytest.fixture(scope="session")
def console(console_core) -> Iterator[str]:
    """Give the address of the running console."""
    from wsgi import create_app

    server = make_server("127.0.0.1", 0, create_app(core=console_core), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(5)
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    """Give a browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def signed_in_states(browser, console) -> dict[str, Any]:
    """Give what a browser keeps of each role's log-in: a one-time code works once, so nobody signs in twice within a minute."""
    states = {}
    for role in ROLES:
        context = browser.new_context(locale="zh-CN")
        sign_in(context.new_page(), console, role)
        states[role] = context.storage_state()
        context.close()
    return states


@pytest.fixture
def opened(browser, signed_in_states) -> Iterator[Callable[..., Any]]:
    """Give a way to open a page as a role, in a browser context of its own that ends with the test."""
    contexts = []

    def open_page(role: str, **options: Any) -> Any:
        context = browser.new_context(locale="zh-CN", storage_state=signed_in_states[role], **options)
        contexts.append(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()
