"""Fixtures for all tests: one database for each engine whose URL is given, SQLite always.

``HUIBAN_TEST_POSTGRES_URL`` and ``HUIBAN_TEST_MARIADB_URL`` name servers; each run makes a database of its own there and drops it.
"""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from config.settings import Settings, load_settings
from server.bootstrap import Core, build_core, load_models
from server.kernel.clock import MovableClock
from server.kernel.db import Base, make_engine
from server.migrations.runner import upgrade
from tests.fakes.wechat import FakeWeChat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

START = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)  # noon in Shanghai, a Monday


def _engines() -> list[str]:
    wanted = os.environ.get("HUIBAN_TEST_ENGINES", "").split(",") if os.environ.get("HUIBAN_TEST_ENGINES") else None
    engines = ["sqlite"]
    if os.environ.get("HUIBAN_TEST_POSTGRES_URL"):
        engines.append("postgresql")
    if os.environ.get("HUIBAN_TEST_MARIADB_URL"):
        engines.append("mariadb")
    return [engine for engine in engines if wanted is None or engine in wanted]


def pytest_report_header() -> str:
    """Say which engines these tests run on."""
    redis = "a given Redis" if os.environ.get("HUIBAN_TEST_REDIS_URL") else "the bundled Valkey"
    return f"engines: {', '.join(_engines())}; queue: {redis}"


@pytest.fixture(scope="session", params=_engines())
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a database of our own with every table in it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('db') / 'test.db'}"
        _create_tables(url)
        yield url
        return
    variable = "HUIBAN_TEST_POSTGRES_URL" if request.param == "postgresql" else "HUIBAN_TEST_MARIADB_URL"
    name = f"huiban_test_{uuid.uuid4().hex[:12]}"
    administration = make_engine(os.environ[variable]).execution_options(isolation_level="AUTOCOMMIT")
    charset = "" if request.param == "postgresql" else " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    with administration.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}{charset}")
    url = sa.make_url(os.environ[variable]).set(database=name).render_as_string(hide_password=False)
    try:
        _create_tables(url)
        yield url
    finally:
        force = " WITH (FORCE)" if request.param == "postgresql" else ""
        with administration.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
        administration.dispose()


def _create_tables(url: str) -> None:
    load_models()
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Give development settings on the test database, with a data folder of its own."""
    return load_settings(database_url=database_url, data_dir=tmp_path / "data", log_format="text", log_level="ERROR")


@pytest.fixture
def clock() -> MovableClock:
    """Give a clock that stands at noon of Monday, 15 June 2026 in Shanghai until it is moved."""
    return MovableClock(START)


@pytest.fixture
def wechat() -> FakeWeChat:
    """Give a WeChat without a network; the core of the test talks to it."""
    return FakeWeChat()


@pytest.fixture
def core(settings: Settings, clock: MovableClock, wechat: FakeWeChat) -> Iterator[Core]:
    """Give a core on an empty database; tests may commit, and what they wrote is emptied before the next."""
    core = build_core(settings, clock=clock, wechat=wechat)
    yield core
    empty_tables(core)
    core.close()


def empty_tables(core: Core) -> None:
    """Remove every row of every table, append-only tables too."""
    engine = core.db.engine
    tables = [table.name for table in reversed(Base.metadata.sorted_tables)]
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET session_replication_role = replica")
            filled = [name for name in tables if connection.exec_driver_sql(f"SELECT 1 FROM {name} LIMIT 1").first()]
            for name in filled:
                connection.exec_driver_sql(f"DELETE FROM {name}")
            connection.exec_driver_sql("SET session_replication_role = DEFAULT")
        elif engine.dialect.name == "sqlite":
            filled = [name for name in tables if connection.exec_driver_sql(f"SELECT 1 FROM {name} LIMIT 1").first()]
            triggers = [
                row
                for row in connection.exec_driver_sql("SELECT name, tbl_name, sql FROM sqlite_master WHERE type='trigger'").all()
                if row[1] in filled
            ]
            for trigger in triggers:
                connection.exec_driver_sql(f"DROP TRIGGER {trigger[0]}")
            for name in filled:
                connection.exec_driver_sql(f"DELETE FROM {name}")
            for trigger in triggers:
                connection.exec_driver_sql(trigger[2])
        else:
            # TRUNCATE passes by row triggers, and foreign keys are set aside for it.
            connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS=0")
            for name in tables:
                if connection.exec_driver_sql(f"SELECT 1 FROM {name} LIMIT 1").first():
                    connection.exec_driver_sql(f"TRUNCATE TABLE {name}")
            connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS=1")


@pytest.fixture
def session(core: Core) -> Iterator[Session]:
    """Give a session in an open transaction that is rolled back at the end."""
    with core.db._session(core.db.engine) as session:
        yield session
        session.rollback()


@pytest.fixture
def client(core: Core) -> FlaskClient:
    """Give an HTTP client of the whole web application on the test core."""
    from wsgi import create_app

    app = create_app(core=core)
    app.testing = True
    return app.test_client()
