"""The application runs under a role of its own, which may add to the books and change nothing in them."""

from __future__ import annotations

import secrets
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.exc import DBAPIError

from server.audit import queries as audit
from server.audit import service as audit_service
from server.bootstrap import build_core, load_models
from server.kernel.amounts import Points
from server.kernel.append_only import guarded_tables
from server.kernel.db import Base
from server.kernel.grants import grant_statements
from server.kernel.ids import uuid7
from server.points import months, queries, service
from tasks.commands.db import grants
from tests.conftest import START
from tests.factories.points import SYSTEM, a_source
from tests.factories.world import a_world

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"


@pytest.mark.parametrize(("engine", "role"), [("postgresql", "huiban_app"), ("mariadb", "'huiban_app'@'%'")])
def test_the_file_for_operators_is_what_the_models_ask_for(engine, role):
    load_models()
    lines = (DEPLOY / f"role.{engine}.sql").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("--")] == [f"{one};" for one in grant_statements(engine, role)]
    assert CliRunner().invoke(grants, ["--engine", engine]).output.splitlines() == [f"{one};" for one in grant_statements(engine, role)]


@pytest.fixture
def limited(core, settings, clock, wechat):
    """Give a core of which the database's role is the application's own."""
    engine = core.db.engine
    dialect = "mariadb" if engine.dialect.name in {"mysql", "mariadb"} else engine.dialect.name
    if dialect == "sqlite":
        pytest.skip("a file has no roles")
    name, password = f"huiban_app_{secrets.token_hex(4)}", secrets.token_hex(8)
    role = name if dialect == "postgresql" else f"'{name}'@'%'"
    made = (
        f"CREATE ROLE {role} LOGIN PASSWORD '{password}'" if dialect == "postgresql" else f"CREATE USER {role} IDENTIFIED BY '{password}'"
    )
    url = sa.make_url(settings.database_url).set(username=name, password=password).render_as_string(hide_password=False)
    with engine.begin() as connection:
        for statement in (made, *grant_statements(dialect, role)):
            connection.execute(sa.text(statement))
    own = build_core(settings.model_copy(update={"database_url": url}), clock=clock, wechat=wechat)
    try:
        yield own
    finally:
        own.close()
        with engine.begin() as connection:
            for statement in [f"DROP OWNED BY {role}", f"DROP ROLE {role}"] if dialect == "postgresql" else [f"DROP USER {role}"]:
                connection.execute(sa.text(statement))


@pytest.mark.committing
def test_the_product_works_under_it_and_the_books_are_beyond_its_reach(limited):
    # Members with orders, coupons, tickets, messages and redemptions, and what was sold delivered.
    world = a_world(limited)
    world.an_order(delivered=True)
    world.a_ticket(answered=True)
    world.a_message()
    world.a_coupon(redeemed=True)
    world.a_redemption()
    member_id = world.owner.member_id

    def work(session):
        spent = service.redeem(session, member_id, Points(1), source=a_source(), reason="Reward", actor=SYSTEM, now=START)
        service.return_redemption(session, spent.id, None, source=a_source(), reason="Back", actor=SYSTEM, now=START)
        months.close(session, months.work_out(session, date(2026, 6, 1), cutoff=uuid7()), points_per_yuan=100, actor=SYSTEM, now=START)
        return audit_service.seal(session, START)

    assert limited.db.run(work) > 0
    with limited.db.reading() as session:
        assert queries.prove(session) == []
        assert audit.list_entries(session).items
    refused = []
    quoted = limited.db.engine.dialect.identifier_preparer.quote
    for table in guarded_tables():
        column = quoted(next(one.name for one in Base.metadata.tables[table].columns if not one.primary_key))
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE TABLE {table}",
            f"DROP TABLE {table}",
        ):
            with pytest.raises(DBAPIError) as caught, limited.db.engine.begin() as connection:
                connection.execute(sa.text(statement))
            refused.append(str(caught.value.orig))
    assert [one for one in refused if not any(words in one for words in ("permission denied", "denied to user", "must be owner"))] == []
    assert len(refused) > 80
