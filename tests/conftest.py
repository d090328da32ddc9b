"""Fixtures for all tests: one database for each engine whose URL is given, SQLite always.

``HUIBAN_TEST_POSTGRES_URL`` and ``HUIBAN_TEST_MARIADB_URL`` name servers; each run makes a database of its own there and drops it.
"""

from __future__ import annotations

import functools
import gc
import os
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from config.settings import Settings, load_settings
from server import bootstrap
from server.bootstrap import Core, build_core, load_models
from server.kernel.append_only import guarded_tables
from server.kernel.clock import MovableClock
from server.kernel.db import Base
from server.kernel.engines import make_engine
from server.migrations.runner import upgrade
from server.staff import passwords
from tests.fakes.senders import FakeOfficialAccount
from tests.fakes.wechat import FakeWeChat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask.testing import FlaskClient
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.orm import Session


class CompiledTemplates(BytecodeCache):
    """Templates compiled once for all the applications of a test process: compiling them was a third of each console test."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": CompiledTemplates()}

START = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)  # noon in Shanghai, a Monday


def engines() -> list[str]:
    """Return the engines that tests run on."""
    wanted = os.environ.get("HUIBAN_TEST_ENGINES", "").split(",") if os.environ.get("HUIBAN_TEST_ENGINES") else None
    found = ["sqlite"]
    if os.environ.get("HUIBAN_TEST_POSTGRES_URL"):
        found.append("postgresql")
    if os.environ.get("HUIBAN_TEST_MARIADB_URL"):
        found.append("mariadb")
    return [engine for engine in found if wanted is None or engine in wanted]


def pytest_collection_finish() -> None:
    """Leave what was loaded so far out of every later garbage collection: it is much, and none of it is ever garbage."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """Say which engines these tests run on."""
    redis = "a given Redis" if os.environ.get("HUIBAN_TEST_REDIS_URL") else "the bundled Valkey"
    return f"engines: {', '.join(engines())}; queue: {redis}"


PASSWORD_HASHER = passwords._hasher


@pytest.fixture(scope="session", autouse=True)
def cheap_password_hashes() -> Iterator[None]:
    """Hash passwords at the least cost: half of each console test went into it. ``tests/staff/test_passwords.py`` holds the real one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session", params=engines())
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
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            connection.exec_driver_sql(routine_that_empties(engine.dialect.name))
    engine.dispose()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Give development settings on the test database, with a data folder of its own."""
    account = {
        "official_account_appid": "wxofficial0000000",
        "official_account_secret": "account-secret",
        "official_account_push_token": "account-token",
        "official_account_push_aes_key": "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba",
    }
    return load_settings(database_url=database_url, data_dir=tmp_path / "data", log_format="text", log_level="ERROR", **account)


@pytest.fixture
def clock() -> MovableClock:
    """Give a clock that stands at noon of Monday, 15 June 2026 in Shanghai until it is moved."""
    return MovableClock(START)


@pytest.fixture
def wechat() -> FakeWeChat:
    """Give a WeChat without a network; the core of the test talks to it."""
    return FakeWeChat()


@pytest.fixture(scope="session", autouse=True)
def lasting_engines() -> Iterator[None]:
    """Make one engine for each database and set-up: it remembers the statements it compiled, half the work of a test with a new one."""
    made: list[Engine] = []

    @functools.cache
    def remembered(url: str, **options: Any) -> Engine:
        made.append(make_engine(url, **options))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "make_engine", remembered)
        yield
    for engine in made:
        engine.dispose()


@pytest.fixture
def core(settings: Settings, clock: MovableClock, wechat: FakeWeChat) -> Iterator[Core]:
    """Give a core on an empty database; tests may commit, and what they wrote is emptied before the next.

    Its connections stay open for the next test, as those of a web process stay open for the next request.
    """
    core = build_core(settings, clock=clock, wechat=wechat, official_account=FakeOfficialAccount())
    yield core
    core.db.close_kept()
    empty_tables(core.db.engine)


def empty_tables(engine: Engine) -> None:
    """Remove every row of every table, append-only tables too."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            empty_sqlite(connection)
        else:
            connection.exec_driver_sql("SELECT empty_tables()" if engine.dialect.name == "postgresql" else "CALL empty_tables()")


def empty_sqlite(connection: Connection) -> None:
    tables = [table.name for table in reversed(Base.metadata.sorted_tables)]
    filled = [name for name in tables if connection.exec_driver_sql(f"SELECT 1 FROM {name} LIMIT 1").first()]
    found = connection.exec_driver_sql("SELECT name, tbl_name, sql FROM sqlite_master WHERE type='trigger'").all()
    triggers = [row for row in found if row[1] in filled]
    for trigger in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {trigger[0]}")
    for name in filled:
        connection.exec_driver_sql(f"DELETE FROM {name}")
    for trigger in triggers:
        connection.exec_driver_sql(trigger[2])


def routine_that_empties(dialect: str) -> str:
    """Return what makes the database empty itself: asking it table by table cost more than most tests."""
    tables = [table.name for table in reversed(Base.metadata.sorted_tables)]
    if dialect == "postgresql":
        # A replica's session runs no triggers, neither those of append-only tables nor those of foreign keys.
        steps = "".join(f"IF EXISTS (SELECT FROM {name}) THEN DELETE FROM {name}; END IF; " for name in tables)
        settings = "LANGUAGE plpgsql SET session_replication_role = replica"
        return f"CREATE FUNCTION empty_tables() RETURNS void {settings} AS $$ BEGIN {steps} END $$"
    # TRUNCATE passes by row triggers; where there are none, DELETE is much the cheaper. Foreign keys are set aside for both.
    guarded = set(guarded_tables())
    steps = "".join(
        f"IF EXISTS (SELECT 1 FROM {name}) THEN {'TRUNCATE TABLE' if name in guarded else 'DELETE FROM'} {name}; END IF; "
        for name in tables
    )
    return f"CREATE PROCEDURE empty_tables() BEGIN SET FOREIGN_KEY_CHECKS=0; {steps} SET FOREIGN_KEY_CHECKS=1; END"


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
