"""The trail is written with its change, sealed in batches, and tampering of every kind is found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from server.audit import queries, service
from server.kernel.actors import StaffActor, SystemActor
from server.kernel.append_only import trigger_statements

ACTOR = StaffActor(uuid4(), "林晓雯", frozenset(), "10.0.0.7")


def write(core, count: int = 5, action: str = "points.adjust") -> list:
    def work(session):
        return [
            service.record(
                session,
                actor=ACTOR,
                action=action,
                subject_type="member",
                subject_id=uuid4(),
                before={"points": place},
                after={"points": place + 1, "at": core.clock.now()},
                reason="补发 <b>",
                now=core.clock.now() + timedelta(seconds=place),
            )
            for place in range(count)
        ]

    return core.db.run(work)


def seal(core, limit: int = 1000) -> int:
    return core.db.run(lambda session: service.seal(session, core.clock.now(), limit))


def verify(core, anchors=()):
    with core.db.reading() as session:
        return queries.verify(session, anchors)


def tamper(core, *statements: str) -> None:
    """Do what an intruder with the database's own rights would: take the triggers off, change rows, put them back."""
    dialect = core.db.engine.dialect.name
    with core.db.engine.begin() as connection:
        for table in ("audit_entries", "audit_seals"):
            if dialect == "postgresql":
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            else:
                connection.exec_driver_sql(f"DROP TRIGGER {table}_no_update")
                connection.exec_driver_sql(f"DROP TRIGGER {table}_no_delete")
        for statement in statements:
            connection.exec_driver_sql(statement)
        for table in ("audit_entries", "audit_seals"):
            if dialect == "postgresql":
                connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            else:
                for statement in trigger_statements(table, dialect):
                    connection.exec_driver_sql(statement)


def kinds(found) -> set[str]:
    return {fault.kind for fault in found.faults}


@pytest.mark.committing
def test_an_entry_tells_who_what_before_after_why_and_from_where(core):
    entry_id = write(core, 1)[0]
    with core.db.reading() as session:
        entry = queries.find(session, entry_id)
    assert entry is not None
    assert (entry.actor_kind, entry.actor_name, entry.address, entry.action) == ("staff", "林晓雯", "10.0.0.7", "points.adjust")
    assert entry.before == {"points": 0}
    assert entry.after == {"points": 1, "at": core.clock.now().isoformat()}
    assert entry.reason == "补发 <b>"
    assert entry.sequence is None


@pytest.mark.committing
def test_a_refused_change_leaves_no_entry(core):
    with pytest.raises(RuntimeError), core.db.transaction() as session:
        service.record(session, actor=SystemActor("x"), action="a.b", subject_type="t", subject_id="1", now=core.clock.now())
        raise RuntimeError
    with core.db.reading() as session:
        assert queries.list_entries(session).items == []


@pytest.mark.committing
def test_entries_and_seals_can_neither_be_changed_nor_removed(core):
    write(core, 1)
    seal(core)
    for statement in (
        "UPDATE audit_entries SET reason = 'x'",
        "DELETE FROM audit_entries",
        "UPDATE audit_seals SET hash = 'x'",
        "DELETE FROM audit_seals",
    ):
        with pytest.raises(DBAPIError), core.db.transaction() as session:
            session.execute(sa.text(statement))
    assert verify(core).intact


@pytest.mark.committing
def test_sealing_goes_on_in_batches_and_the_chain_verifies(core):
    write(core, 5)
    assert seal(core, 2) == 2
    assert verify(core).pending == 3
    assert seal(core) == 3
    assert seal(core) == 0
    found = verify(core)
    assert found.intact
    assert (found.checked, found.pending, found.head_sequence) == (5, 0, 5)


@pytest.mark.committing
def test_sealers_that_run_at_once_make_one_chain(core):
    write(core, 40)
    with ThreadPoolExecutor(4) as pool:
        done = sum(pool.map(lambda _: seal(core, 12), range(4)))
    assert done == 40
    found = verify(core)
    assert found.intact
    assert found.checked == 40


@pytest.mark.committing
def test_an_altered_entry_is_found(core):
    write(core)
    seal(core)
    tamper(core, "UPDATE audit_entries SET reason = 'nothing happened' WHERE id = (SELECT entry_id FROM audit_seals WHERE sequence = 3)")
    found = verify(core)
    assert kinds(found) == {"altered"}
    assert [fault.sequence for fault in found.faults] == [3]


@pytest.mark.committing
def test_a_deleted_entry_is_found_with_its_seal_or_without(core):
    write(core)
    seal(core)
    tamper(core, "DELETE FROM audit_entries WHERE id = (SELECT entry_id FROM audit_seals WHERE sequence = 2)")
    assert kinds(verify(core)) == {"deleted"}
    tamper(core, "DELETE FROM audit_seals WHERE sequence = 2")
    assert "deleted" in kinds(verify(core))


@pytest.mark.committing
def test_a_changed_order_is_found(core):
    write(core)
    seal(core)
    tamper(
        core,
        "UPDATE audit_seals SET sequence = 99 WHERE sequence = 2",
        "UPDATE audit_seals SET sequence = 2 WHERE sequence = 3",
        "UPDATE audit_seals SET sequence = 3 WHERE sequence = 99",
    )
    assert {"reordered", "altered"} <= kinds(verify(core))


@pytest.mark.committing
def test_a_chain_cut_at_its_end_is_found_even_when_the_head_was_cut_too(core, tmp_path):
    path = tmp_path / "anchors.jsonl"
    write(core)
    seal(core)
    with core.db.reading() as session:
        assert service.write_anchor(session, path, now=core.clock.now())
        assert not service.write_anchor(session, path, now=core.clock.now())
    with core.db.reading() as session:
        third = session.execute(sa.text("SELECT hash FROM audit_seals WHERE sequence = 3")).scalar_one()
    tamper(
        core,
        "DELETE FROM audit_entries WHERE id IN (SELECT entry_id FROM audit_seals WHERE sequence > 3)",
        "DELETE FROM audit_seals WHERE sequence > 3",
    )
    assert kinds(verify(core)) == {"truncated"}
    tamper(core, f"UPDATE audit_heads SET sequence = 3, hash = '{third}'")
    assert verify(core).intact
    assert kinds(verify(core, queries.read_anchors(path))) == {"truncated"}


@pytest.mark.committing
def test_a_chain_rewritten_from_the_start_does_not_meet_its_anchor(core, tmp_path):
    path = tmp_path / "anchors.jsonl"
    write(core)
    seal(core)
    with core.db.reading() as session:
        service.write_anchor(session, path, now=core.clock.now())
    tamper(
        core,
        "UPDATE audit_entries SET reason = 'rewritten'",
        "DELETE FROM audit_seals",
        "DELETE FROM audit_heads",
        "INSERT INTO audit_pending SELECT id FROM audit_entries",
    )
    assert seal(core) == 5
    assert verify(core).intact
    assert kinds(verify(core, queries.read_anchors(path))) == {"anchor"}


@pytest.mark.committing
def test_an_entry_slipped_in_beside_the_chain_is_found(core):
    write(core)
    seal(core)
    write(core, 1)
    tamper(core, "DELETE FROM audit_pending")
    assert kinds(verify(core)) == {"inserted"}


@pytest.mark.committing
def test_the_list_is_searched_and_read_on_by_key(core):
    from server.kernel.pagination import PageRequest

    write(core, 5)
    write(core, 2, action="coupon.void")
    with core.db.reading() as session:
        wanted = queries.EntryFilter(action="points.adjust", actor_name="林晓雯")
        first = queries.list_entries(session, PageRequest.of(3, None), wanted)
        second = queries.list_entries(session, PageRequest.of(3, first.next_cursor), wanted)
        assert len(first.items) == 3
        assert len(second.items) == 2
        assert second.next_cursor is None
        assert queries.known_actions(session) == ["coupon.void", "points.adjust"]
        nothing = queries.EntryFilter(since=core.clock.now() + timedelta(days=1))
        assert queries.list_entries(session, wanted=nothing).items == []
