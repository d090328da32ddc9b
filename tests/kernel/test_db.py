"""The database layer means the same on every engine."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from server.audit.models import AuditHead, AuditSeal
from server.bootstrap import build_core
from server.kernel import db, idempotency, outbox
from server.kernel.db import constraint_of, insert_all_absent, insert_if_absent, is_transient, register_constraint, update_where
from server.kernel.errors import ConflictError
from server.kernel.ids import uuid7
from tests.conftest import empty_tables

AT = datetime(2026, 6, 15, 4, 0, 0, 123456, tzinfo=UTC)


class FactToldError(ConflictError):
    code = "fact_told"


def an_event(key, **changes):
    return {
        "id": uuid7(),
        "key": key,
        "topic": "test.happened",
        "aggregate_type": "thing",
        "aggregate_id": uuid7(),
        "version": 0,
        "payload": {"b": 1, "a": "会伴🎁"},
        "occurred_at": AT,
        "expanded_at": None,
        **changes,
    }


def test_instants_ids_and_documents_come_back_as_they_went(core):
    row = an_event("k", occurred_at=AT.astimezone(timezone(timedelta(hours=8))))
    with core.db.transaction() as session:
        session.execute(sa.insert(outbox.OutboxEvent).values(row))
    with core.db.reading() as session:
        found = session.scalars(sa.select(outbox.OutboxEvent)).one()
    assert (found.id, found.aggregate_id, found.payload) == (row["id"], row["aggregate_id"], row["payload"])
    assert found.occurred_at == AT
    assert found.occurred_at.tzinfo is UTC


def test_a_naive_instant_is_refused(core):
    with pytest.raises(Exception, match="time zone"), core.db.transaction() as session:
        session.execute(sa.insert(outbox.OutboxEvent).values(an_event("k", occurred_at=AT.replace(tzinfo=None))))


def test_what_is_raised_rolls_everything_back(core):
    with pytest.raises(RuntimeError), core.db.transaction() as session:
        insert_if_absent(session, outbox.OutboxEvent, an_event("k"))
        raise RuntimeError
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(outbox.OutboxEvent)) == 0


def test_a_key_is_inserted_once(core):
    with core.db.transaction() as session:
        assert insert_if_absent(session, outbox.OutboxEvent, an_event("k"))
        assert not insert_if_absent(session, outbox.OutboxEvent, an_event("k"))
        assert insert_all_absent(session, outbox.OutboxEvent, [an_event("k"), an_event("l"), an_event("m")]) == 2
        assert insert_all_absent(session, outbox.OutboxEvent, []) == 0


def test_of_many_writers_of_one_key_exactly_one_inserts(core):
    barrier = threading.Barrier(8)

    def insert(_):
        barrier.wait()
        return core.db.run(lambda session: insert_if_absent(session, outbox.OutboxEvent, an_event("raced")))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(insert, range(8))) == 1


def a_seal(sequence, entry_id=None):
    """A row of an append-only table whose key is a number of its own."""
    return {"sequence": sequence, "entry_id": entry_id or uuid7(), "previous_hash": "a", "hash": "b", "sealed_at": AT}


def test_a_natural_key_that_is_there_is_told_apart_from_a_new_one(core):
    head = {"name": "chain", "sequence": 1, "hash": "a", "updated_at": AT}
    assert core.db.run(lambda session: insert_if_absent(session, AuditHead, head))
    with core.db.transaction() as session:
        assert not insert_if_absent(session, AuditHead, head)
        assert not insert_if_absent(session, AuditHead, head | {"sequence": 7})
        rows = [head | {"name": name} for name in ("chain", "other", "third", "other")]
        assert insert_all_absent(session, AuditHead, rows) == 2
        assert insert_all_absent(session, AuditHead, rows) == 0
        # What one statement met says nothing about the next.
        assert insert_if_absent(session, AuditHead, head | {"name": "fourth"})
        assert session.scalars(sa.select(AuditHead.sequence)).all() == [1, 1, 1, 1]


def test_an_append_only_table_takes_a_key_once_and_stays_guarded(core):
    first = a_seal(1)
    with core.db.transaction() as session:
        assert insert_if_absent(session, AuditSeal, first)
        assert not insert_if_absent(session, AuditSeal, first)
        assert not insert_if_absent(session, AuditSeal, a_seal(2, first["entry_id"]))
        assert insert_all_absent(session, AuditSeal, [first, a_seal(2), a_seal(3)]) == 2
    with core.db.reading() as session:
        assert session.scalars(sa.select(AuditSeal.sequence).order_by(AuditSeal.sequence)).all() == [1, 2, 3]
    with pytest.raises(DBAPIError, match="append-only"), core.db.transaction() as session:
        session.execute(sa.update(AuditSeal).values(hash="x"))


def test_only_the_guard_of_its_own_table_tells_that_a_row_is_there(core):
    with pytest.raises(DBAPIError), core.db.transaction() as session:
        insert_if_absent(session, AuditSeal, a_seal(1) | {"hash": None})
    with pytest.raises(DBAPIError), core.db.transaction() as session:
        insert_if_absent(session, AuditHead, {"name": "x" * 99, "sequence": None, "hash": "a", "updated_at": AT})


@pytest.mark.parametrize(
    ("model", "row"),
    [
        (outbox.OutboxEvent, lambda number: an_event(f"raced{number}")),
        (AuditHead, lambda number: {"name": f"raced{number}", "sequence": 0, "hash": "a", "updated_at": AT}),
        (AuditSeal, a_seal),
    ],
    ids=["new id", "natural key", "append-only"],
)
def test_of_sixteen_writers_of_one_key_exactly_one_inserts_and_nobody_is_broken_off(settings, model, row):
    core = build_core(settings.model_copy(update={"pool_size": 16}))
    rounds, barrier = 12, threading.Barrier(16)
    column = sa.inspect(model).primary_key[0] if model is not outbox.OutboxEvent else outbox.OutboxEvent.__table__.c.key
    try:

        def write(_):
            won = []
            for number in range(rounds):
                barrier.wait(30)
                # Not ``db.run``: a deadlock would be tried again there and never be seen.
                with core.db.transaction() as session:
                    values = row(number)
                    won.append(insert_if_absent(session, model, values))
                    held = session.execute(sa.select(column).where(column == values[column.name]).with_for_update()).all()
                    assert len(held) == 1
            return won

        with ThreadPoolExecutor(16) as pool:
            outcomes = list(pool.map(write, range(16)))
    finally:
        empty_tables(core.db.engine)
        core.close()
    assert [sum(won) for won in zip(*outcomes, strict=True)] == [1] * rounds


def test_a_conditional_update_counts_matched_rows_even_when_nothing_changes(core):
    with core.db.transaction() as session:
        insert_if_absent(session, outbox.OutboxEvent, an_event("k"))
        statement = sa.update(outbox.OutboxEvent).where(outbox.OutboxEvent.key == "k").values(version=0)
        assert update_where(session, statement) == 1
        assert update_where(session, statement.where(outbox.OutboxEvent.version == 9)) == 0


def test_a_broken_constraint_is_known_by_name_and_becomes_its_error(core, monkeypatch):
    with pytest.raises(DBAPIError) as unknown, core.db.transaction() as session:
        event = an_event("k")
        session.execute(sa.insert(outbox.OutboxEvent).values(event))
        session.execute(
            sa.insert(outbox.OutboxDelivery).values(
                id=uuid7(), event_id=event["id"], subscription="s", state="lost", attempts=0, available_at=AT
            )
        )
    assert constraint_of(unknown.value) == "ck_outbox_deliveries_state_known"
    monkeypatch.setattr(db, "_constraint_errors", {})  # what this test registers is not for the others
    register_constraint("uq_outbox_events_key", FactToldError)
    with pytest.raises(FactToldError), core.db.transaction() as session:
        session.execute(sa.insert(outbox.OutboxEvent).values(an_event("twice")))
        session.execute(sa.insert(outbox.OutboxEvent).values(an_event("twice")))


def test_a_foreign_key_is_enforced(core):
    with pytest.raises(DBAPIError), core.db.transaction() as session:
        session.execute(
            sa.insert(outbox.OutboxDelivery).values(
                id=uuid7(), event_id=uuid7(), subscription="s", state="pending", attempts=0, available_at=AT
            )
        )


def test_work_broken_off_by_a_deadlock_is_done_again_and_no_more_than_said(core):
    class Locked(Exception):
        sqlstate = "40P01"

    tries = []

    def deadlocked_twice(session):
        tries.append(1)
        insert_if_absent(session, outbox.OutboxEvent, an_event(f"try{len(tries)}"))
        if len(tries) < 3:
            raise DBAPIError("x", {}, Locked())
        return "done"

    assert core.db.run(deadlocked_twice) == "done"
    with core.db.reading() as session:
        assert session.scalars(sa.select(outbox.OutboxEvent.key)).all() == ["try3"]

    def always(session):
        tries.append(1)
        raise DBAPIError("x", {}, Locked())

    tries.clear()
    with pytest.raises(DBAPIError):
        core.db.run(always, attempts=3)
    assert len(tries) == 3
    assert not is_transient(DBAPIError("x", {}, ValueError("other")))
    # A deadlock inside a savepoint on MariaDB: the savepoint is gone with the transaction, and that is what is told.
    assert is_transient(DBAPIError("x", {}, ValueError(1305, "SAVEPOINT sa_savepoint_1 does not exist")))


def test_a_reader_sees_no_half_done_work(core):
    started, go_on = threading.Event(), threading.Event()

    def write():
        with core.db.transaction() as session:
            insert_if_absent(session, outbox.OutboxEvent, an_event("half"))
            started.set()
            go_on.wait(5)

    writer = threading.Thread(target=write)
    writer.start()
    started.wait(5)
    with core.db.reading() as session:
        seen = session.scalars(sa.select(outbox.OutboxEvent.key)).all()
    go_on.set()
    writer.join()
    assert seen == []


def test_news_of_one_fact_is_written_once(core):
    def publish(session):
        return outbox.publish(session, "a.b", key="fact", aggregate_type="thing", aggregate_id=uuid7(), payload={}, now=AT)

    assert [core.db.run(publish), core.db.run(publish)] == [True, False]


class TestIdempotency:
    """One key, one effect, one answer."""

    def take(self, session, key="k", request_hash="h" * 64, caller="member:1"):
        return idempotency.begin(session, caller=caller, route="POST /x", key=key, request_hash=request_hash, now=AT)

    def test_the_first_answer_is_replayed_byte_for_byte(self, core):
        def first(session):
            record = self.take(session)
            idempotency.finish(session, record, idempotency.StoredAnswer(201, b'{"a":1}'))

        core.db.run(first)
        assert core.db.run(self.take) == idempotency.StoredAnswer(201, b'{"a":1}')

    def test_another_request_under_the_key_is_refused(self, core):
        core.db.run(lambda session: idempotency.finish(session, self.take(session), idempotency.StoredAnswer(200, b"")))
        with pytest.raises(idempotency.KeyReusedError):
            core.db.run(lambda session: self.take(session, request_hash="g" * 64))

    def test_a_key_belongs_to_its_caller(self, core):
        core.db.run(lambda session: idempotency.finish(session, self.take(session), idempotency.StoredAnswer(200, b"")))
        with core.db.transaction() as session:
            assert not isinstance(self.take(session, caller="member:2"), idempotency.StoredAnswer)
            session.rollback()

    def test_a_refused_command_gives_its_key_back(self, core):
        def refused(session):
            self.take(session)
            raise ConflictError

        with pytest.raises(ConflictError):
            core.db.run(refused)
        core.db.run(lambda session: idempotency.finish(session, self.take(session), idempotency.StoredAnswer(200, b"ok")))

    def test_of_racing_requests_one_works_and_the_others_get_its_answer(self, core):
        worked = []
        barrier = threading.Barrier(6)

        def command(_):
            barrier.wait()

            def work(session):
                taken = self.take(session)
                if isinstance(taken, idempotency.StoredAnswer):
                    return taken.body
                worked.append(1)
                idempotency.finish(session, taken, idempotency.StoredAnswer(200, b"mine"))
                return b"mine"

            return core.db.run(work)

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(command, range(6))) == {b"mine"}
        assert len(worked) == 1

    def test_old_records_are_forgotten(self, core):
        core.db.run(lambda session: idempotency.finish(session, self.take(session), idempotency.StoredAnswer(200, b"")))
        assert core.db.run(lambda session: idempotency.forget_before(session, AT)) == 0
        assert core.db.run(lambda session: idempotency.forget_before(session, AT + timedelta(seconds=1))) == 1


def test_reading_over_a_connection_that_was_cut_says_that_the_database_failed(core):
    asks, ends = {
        "sqlite": ("", ""),
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        "mysql": ("SELECT CONNECTION_ID()", "KILL CONNECTION {}"),
    }[core.db.engine.dialect.name.replace("mariadb", "mysql")]
    if not asks:
        pytest.skip("there is no connection to cut")
    # One connection in the pool, which is then the one that the next reading gets.
    core.db.close()
    with core.db.reading() as session:
        number = session.scalar(sa.text(asks))
    other = sa.create_engine(core.db.engine.url)
    with other.connect() as connection:
        connection.exec_driver_sql(ends.format(number))
    other.dispose()
    # On MariaDB already the step that makes the connection a reading one meets the end of it.
    with pytest.raises(DBAPIError), core.db.reading() as session:
        session.scalar(sa.text(asks))
    with core.db.reading() as session:
        assert session.scalar(sa.text(asks)) != number
