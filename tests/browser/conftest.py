"""A whole console with the demonstration in it, served to Debian's Chromium."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server

from server.audit import service as audit
from server.kernel.clock import SystemClock
from tasks.demo import load_demo

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture
def clock():
    """The browser's clock is the machine's, so the product's is too."""
    return SystemClock()


@pytest.fixture
def console(core) -> Iterator[str]:
    """Give the address of a running console with the demonstration loaded."""
    if core.db.engine.dialect.name != "sqlite":
        pytest.skip("one engine is enough for the look of the pages")
    if not CHROMIUM.exists():
        pytest.skip("Debian's Chromium is not installed")
    from wsgi import create_app

    load_demo(core)
    core.db.run(lambda session: audit.seal(session, core.clock.now()))
    server = make_server("127.0.0.1", 0, create_app(core=core), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(5)
    server.server_close()


@pytest.fixture
def browser():
    """Give a browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()
