"""The migrations make what the models say, on every engine, and may be run by several hosts at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from server.bootstrap import load_models
from server.kernel.append_only import guarded_tables
from server.kernel.db import Base
from server.kernel.engines import make_engine
from server.migrations.runner import current, heads, upgrade

ROOT = Path(__file__).parents[2]


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


def test_hosts_that_migrate_a_new_database_at_once_wait_for_one_another(core, tmp_path):
    url = (
        f"sqlite:///{tmp_path / 'new.db'}"
        if core.db.engine.dialect.name == "sqlite"
        else core.db.engine.url.render_as_string(hide_password=False)
    )
    program = "import sys; from server.kernel.engines import make_engine; from server.migrations.runner import upgrade; upgrade(make_engine(sys.argv[1]))"
    hosts = [subprocess.Popen([sys.executable, "-c", program, url], cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    outcomes = [(host.communicate(timeout=60)[1], host.returncode) for host in hosts]
    assert [code for _, code in outcomes] == [0, 0, 0], outcomes
    engine = make_engine(url)
    assert current(engine) == heads()[0]
    engine.dispose()


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
