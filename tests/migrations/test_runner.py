"""The migrations make what the models say, on every engine, and may be run by several hosts at once."""

from __future__ import annotations

import threading

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from server.kernel.append_only import guarded_tables
from server.kernel.db import Base, make_engine
from server.migrations.runner import current, heads, load_models, upgrade


def test_there_is_one_head_and_the_tests_run_on_it(core):
    assert len(heads()) == 1
    assert current(core.db.engine) == heads()[0]


def test_the_models_and_the_migrations_agree(core):
    load_models()
    with core.db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_twice_changes_nothing(core):
    upgrade(core.db.engine)
    assert current(core.db.engine) == heads()[0]


def test_hosts_that_migrate_at_once_wait_for_one_another(core):
    failures = []

    def run():
        engine = make_engine(core.db.engine.url.render_as_string(hide_password=False))
        try:
            upgrade(engine)
        except Exception as failure:  # noqa: BLE001 - told below
            failures.append(failure)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_every_append_only_table_has_its_triggers(core):
    inspector = sa.inspect(core.db.engine)
    query = {
        "sqlite": "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT event_object_table FROM information_schema.triggers",
        "mysql": "SELECT event_object_table FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
    }[core.db.engine.dialect.name.replace("mariadb", "mysql")]
    with core.db.engine.connect() as connection:
        guarded = {row[0] for row in connection.exec_driver_sql(query)}
    assert guarded_tables()
    assert set(guarded_tables()) <= guarded
    assert set(guarded_tables()) <= set(inspector.get_table_names())
