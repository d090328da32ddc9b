"""The account's templates are kept as they are, and compared with the messages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from server.audit import queries as audit
from server.kernel.actors import SystemActor
from server.notifications import account_templates as part
from server.notifications import queries, service
from server.notifications.templates import REGISTRY
from server.wechat.gateway.templates import AccountTemplate
from tasks.jobs import wechat as job
from tests.factories.notifications import all_templates

SYSTEM = SystemActor("tests")
ANSWERED = REGISTRY["ticket_answered"]
FIELDS = {spec.default_key: spec.label for spec in ANSWERED.specs}


def an_account(**changes) -> list[AccountTemplate]:
    return [AccountTemplate(**({"template_id": ANSWERED.demo_template_id, "title": "客服回复通知", "fields": FIELDS} | changes))]


@pytest.mark.parametrize(
    ("account", "wanted"),
    [
        (an_account(), part.FITS),
        (an_account(template_id="other"), part.MISSING),
        (an_account(one_time=False), part.LONG_TERM),
        (an_account(fields={key: label for key, label in FIELDS.items() if key != "thing2"}), part.FIELDS_DIFFER),
        (an_account(fields=FIELDS | {"thing9": "备注"}), part.FIELDS_DIFFER),
        ([], part.MISSING),
    ],
)
def test_a_message_is_compared_with_its_template(session, clock, account, wanted) -> None:
    all_templates(session, now=clock.now())
    part.take_in(session, account, actor=SYSTEM, now=clock.now())
    found = part.comparison(session)
    assert next(one for one in found.findings if one.code == ANSWERED.code).verdict == wanted
    assert [one.template_id for one in found.unused] == (["other"] if account and account[0].template_id == "other" else [])


def test_a_message_without_a_template_is_told(session, clock) -> None:
    part.take_in(session, an_account(), actor=SYSTEM, now=clock.now())
    found = part.comparison(session)
    assert {one.verdict for one in found.findings} == {part.NOT_CHOSEN}
    assert len(found.unused) == 1


def test_only_what_changed_is_written_to_the_trail(session, clock) -> None:
    assert part.take_in(session, an_account(), actor=SYSTEM, now=clock.now())
    assert not part.take_in(session, an_account(), actor=SYSTEM, now=clock.now())
    assert part.take_in(session, an_account(title="新标题"), actor=SYSTEM, now=clock.now())
    assert part.take_in(session, [], actor=SYSTEM, now=clock.now())
    entries = audit.list_entries(session, None, audit.EntryFilter(action="message_template.sync")).items
    told = [(entry.after["added"], entry.after["changed"], entry.after["gone"]) for entry in entries]
    own = [ANSWERED.demo_template_id]
    assert sorted(told) == sorted([(own, [], []), ([], own, []), ([], [], own)])
    assert part.comparison(session).seen_at is None


@pytest.mark.committing
def test_two_who_look_up_at_once_leave_one_row(core, wechat) -> None:
    wechat.templates = an_account()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: job.sync_templates(core, core.clock.now()), range(4))) == [1, 1, 1, 1]
    with core.db.reading() as session:
        assert part.comparison(session).seen_at == core.clock.now()
        assert len(audit.list_entries(session, None, audit.EntryFilter(action="message_template.sync")).items) == 1


def test_a_field_of_the_wrong_type_is_named(session, clock) -> None:
    service.set_template(session, ANSWERED.code, wechat_template_id=ANSWERED.demo_template_id, actor=SYSTEM, now=clock.now())
    chosen = next(one for one in queries.templates(session) if one.code == ANSWERED.code)
    found = part.compared(chosen, an_account()[0])
    assert (found.verdict, found.absent, found.unfit, found.idle) == (part.FITS, [], [], [])
