"""Prepared statements mean on the driver's cursor what they mean in a session, and their connections outlive failures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from server.kernel.db import constraint_of, insert_if_absent
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.kernel.prepared import Prepared, PreparedInsert, numbered, together
from server.partners.models import PartnerNonce

EVENTS = cast("sa.Table", OutboxEvent.__table__)
NOW = datetime(2026, 6, 15, 4, 0, 0, 123456, tzinfo=UTC)
BY_TOPIC = sa.select(EVENTS).where(EVENTS.c.topic == sa.bindparam("topic"), EVENTS.c.version.in_([sa.literal(0), sa.literal(7)]))


def an_event(key, **changes):
    row = {"id": uuid7(), "key": key, "topic": "kernel.tried", "aggregate_type": "thing", "aggregate_id": uuid7(), "version": 7}
    return row | {"payload": {"字": ["一", 2, None]}, "occurred_at": NOW, "expanded_at": None} | changes


@pytest.mark.parametrize("count", [1, 2, 8, 9])
def test_every_type_comes_back_as_from_a_session(core, count):
    rows = [an_event(f"k{number}", expanded_at=NOW + timedelta(seconds=number) if number % 2 else None) for number in range(count)]
    with core.db.transaction() as session:
        PreparedInsert(EVENTS).run(session, rows)
        inside = Prepared(BY_TOPIC).all(session, {"topic": "kernel.tried"})
    with core.db.autocommit() as runner:
        alone = Prepared(BY_TOPIC).all(runner, {"topic": "kernel.tried"})
    with core.db.reading() as session:
        expected = [tuple(row) for row in session.execute(BY_TOPIC, {"topic": "kernel.tried"})]
    assert sorted(map(tuple, inside), key=str) == sorted(map(tuple, alone), key=str) == sorted(expected, key=str)
    assert {row.key: (row.id, row.payload, row.expanded_at) for row in alone} == {
        row["key"]: (row["id"], row["payload"], row["expanded_at"]) for row in rows
    }


def test_what_is_written_in_a_transaction_is_taken_back_with_it(core):
    with pytest.raises(RuntimeError), core.db.transaction() as session:
        PreparedInsert(EVENTS).run(session, [an_event("gone")])
        raise RuntimeError
    with core.db.autocommit() as runner:
        assert Prepared(BY_TOPIC).all(runner, {"topic": "kernel.tried"}) == []


def test_what_a_savepoint_held_is_taken_back_with_it_alone(core):
    with core.db.transaction() as session:
        PreparedInsert(EVENTS).run(session, [an_event("kept")])
        savepoint = session.begin_nested()
        PreparedInsert(EVENTS).run(session, [an_event("gone")])
        savepoint.rollback()
    with core.db.autocommit() as runner:
        assert [row.key for row in Prepared(BY_TOPIC).all(runner, {"topic": "kernel.tried"})] == ["kept"]


def test_a_broken_constraint_is_told_by_its_name_and_the_connection_serves_on(core):
    insert = PreparedInsert(EVENTS)._for(1)
    row = {f"{name}_0": value for name, value in an_event("twice").items()}
    with core.db.autocommit() as runner:
        insert.run(runner, row)
        with pytest.raises(DBAPIError) as caught:
            insert.run(runner, row | {"id_0": uuid7()})
        assert constraint_of(caught.value) == "uq_outbox_events_key"
        assert "twice" not in str(caught.value).replace(str(caught.value.orig), ""), "values stay out of the message"
        assert len(Prepared(BY_TOPIC).all(runner, {"topic": "kernel.tried"})) == 1
    with pytest.raises(DBAPIError), core.db.transaction() as session:
        insert.run(session, row | {"id_0": uuid7()})


def test_statements_outlive_what_clears_them_on_the_server(core):
    statement, one = Prepared(BY_TOPIC), sa.select(sa.bindparam("n", 1, type_=sa.Integer))
    with core.db.transaction() as session:
        for number in range(3):
            for _ in range(7):  # often enough for psycopg to prepare it, and so to have something to clear
                session.execute(one, {"n": number})
            statement.all(session, {"topic": "kernel.tried"})
            savepoint = session.begin_nested()
            PreparedInsert(EVENTS).run(session, [an_event("gone")])
            savepoint.rollback()
        assert statement.all(session, {"topic": "kernel.tried"}) == []


def test_a_statement_outlives_a_change_of_what_it_reads(core):
    if core.db.engine.dialect.name != "postgresql":
        pytest.skip("the others plan anew by themselves")
    table = sa.Table("changes", sa.MetaData(), sa.Column("n", sa.Integer))
    every = Prepared(sa.select(table))
    table.create(core.db.engine)
    try:
        with core.db.engine.connect() as connection:
            with Session(connection) as session, session.begin():
                assert every.all(session, {}) == []
            with core.db.engine.begin() as migrating:
                migrating.exec_driver_sql("ALTER TABLE changes ALTER n TYPE bigint")
            with Session(connection) as session, pytest.raises(DBAPIError, match="cached plan"), session.begin():
                every.all(session, {})
            with Session(connection) as session, session.begin():
                assert every.all(session, {}) == []
    finally:
        table.drop(core.db.engine)


@pytest.mark.parametrize("last", [None, b"COMMIT"])
def test_a_server_that_goes_away_in_the_middle_ends_the_call_and_the_connection(core, last):
    if core.db.engine.dialect.name != "postgresql":
        pytest.skip("only there several statements travel together")
    with core.db.engine.connect() as watching, core.db.autocommit() as runner:
        driver = runner.cursor.connection
        slow = [("SELECT pg_sleep(30)", []), ("SELECT 1", [])]
        with ThreadPoolExecutor(1) as pool:
            names = [(runner.cursor._prepare(sql), values) for sql, values in slow]
            going = pool.submit(runner.cursor._together, names, last)
            asleep = sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid AND wait_event = 'PgSleep'")
            while not watching.scalar(asleep, {"pid": driver.info.backend_pid}):
                assert not going.done()
            watching.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": driver.info.backend_pid})
            with pytest.raises(core.db.engine.dialect.loaded_dbapi.Error):
                going.result(20)
        runner.broken = True
    assert driver.closed


def test_what_runs_last_stays_in_its_place_and_shares_the_fate_of_its_transaction(core):
    insert = PreparedInsert(EVENTS).of(1)

    def last(session, key, **changes):
        insert.run_last(session, numbered([an_event(key, **changes)]))

    def keys(runner):
        return sorted(row.key for row in Prepared(BY_TOPIC).all(runner, {"topic": "kernel.tried"}))

    with core.db.transaction() as session:
        last(session, "a")
        assert keys(session) == ["a"], "a prepared statement comes after it"
        last(session, "b")
        assert session.scalar(sa.select(sa.func.count()).select_from(EVENTS).where(EVENTS.c.topic == "kernel.tried")) == 2
        with pytest.raises(RuntimeError), session.begin_nested():
            last(session, "c")
            raise RuntimeError
        last(session, "d")
    with pytest.raises(RuntimeError), core.db.transaction() as session:
        last(session, "e")
        raise RuntimeError
    with pytest.raises(DBAPIError) as caught, core.db.transaction() as session:
        together(session, [(insert, numbered([an_event("f")])), (Prepared(BY_TOPIC), {"topic": "kernel.tried"})])
        last(session, "a")
    assert constraint_of(caught.value) == "uq_outbox_events_key"
    with core.db.autocommit() as runner:
        assert keys(runner) == ["a", "b", "d"]


def test_only_marks_are_written_without_waiting_for_the_disk(core):
    if core.db.engine.dialect.name != "postgresql":
        pytest.skip("the others cannot choose for each connection")
    shown = Prepared(sa.select(sa.func.current_setting("synchronous_commit", type_=sa.String).label("mode")))
    with core.db.autocommit() as runner:
        assert shown.all(runner, {})[0].mode == "off"
    with core.db.transaction() as session:
        assert shown.all(session, {})[0].mode == "on"


def test_a_text_with_nul_is_refused_and_never_cut_short(core):
    if core.db.engine.dialect.name != "postgresql":
        pytest.skip("the others keep it")
    with pytest.raises(DBAPIError, match="NUL"), core.db.autocommit() as runner:
        Prepared(BY_TOPIC).all(runner, {"topic": "kernel.tried\0"})


def test_a_connection_that_died_is_not_lent_again(core):
    with core.db.autocommit() as runner:
        first = runner
        runner._proxied.dbapi_connection.close()
        with pytest.raises(DBAPIError):
            Prepared(sa.select(sa.literal(1).label("one"))).all(runner, {})
    with core.db.autocommit() as runner:
        assert runner is not first
        assert Prepared(sa.select(sa.literal(1).label("one"))).all(runner, {})[0].one == 1


def test_one_that_idled_and_lives_is_lent_again(core):
    with core.db.autocommit() as runner:
        first = runner
    first._used_at -= 60
    with core.db.autocommit() as runner:
        assert runner is first
        assert Prepared(BY_TOPIC).all(runner, {"topic": "kernel.tried"}) == []


def test_one_that_idled_and_died_is_found_out_before_it_is_lent(core):
    with core.db.autocommit() as runner:
        first = runner
    first._proxied.dbapi_connection.close()
    first._used_at -= 60
    with core.db.autocommit() as runner:
        assert runner is not first
        assert Prepared(sa.select(sa.literal(1).label("one"))).all(runner, {})[0].one == 1


def test_a_statement_whose_text_hangs_on_its_values_is_refused(core):
    with core.db.autocommit() as runner, pytest.raises(ValueError, match="depends on its values"):
        Prepared(sa.select(EVENTS.c.id).where(EVENTS.c.topic.in_(["a", "b"]))).all(runner, {})


def test_a_value_that_is_missing_is_never_null(core):
    with core.db.autocommit() as runner, pytest.raises(KeyError):
        Prepared(BY_TOPIC).all(runner, {})


def test_who_listens_to_statements_hears_these_too(core):
    heard = []

    def listen(_connection, _cursor, statement, *_rest):
        heard.append(statement)

    event.listen(core.db.engine, "before_cursor_execute", listen)
    with core.db.autocommit() as runner:
        Prepared(BY_TOPIC).all(runner, {"topic": "x"})
    with core.db.reading() as session:
        Prepared(BY_TOPIC).all(session, {"topic": "x"})
    event.remove(core.db.engine, "before_cursor_execute", listen)
    assert len([statement for statement in heard if "outbox_events" in statement]) == 2


def test_of_sixteen_that_take_a_nonce_at_once_one_gets_it(core):
    def take(_number):
        with core.db.autocommit() as runner:
            return insert_if_absent(runner, PartnerNonce, {"id": uuid7(), "key_id": "k", "nonce": "n" * 16, "seen_at": NOW})

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(take, range(16))) == [False] * 15 + [True]
