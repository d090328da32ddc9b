"""A web of one's own: started once for the tests of a module, since its modules take seconds to load."""

from __future__ import annotations

import pytest

from config.settings import load_settings
from tests.races.web import Web, environment_of


@pytest.fixture(scope="module")
def one_web(database_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    settings = load_settings(database_url=database_url, data_dir=folder / "data")
    settings.data_dir.mkdir()
    web = Web(environment_of(settings), folder / "web.log")
    web.start()
    yield web
    web.stop()


@pytest.fixture
def web(core, one_web):
    """Give the web, serving the core's database; a test may kill it."""
    one_web.tend()
    one_web.wait()
    return one_web
