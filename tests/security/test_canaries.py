"""A member whose every personal word is known nowhere else, and then the whole product looked through for these words.

The pages of the console are looked through in ``test_console.py``, where every role opens them anyway.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import structlog

from config.logging import configure_logging
from server.audit.models import AuditEntry
from server.kernel.ids import uuid7
from server.members.models import Member
from server.staff.permissions import Permission, permissions_of
from server.wechat.errors import WeChatUnavailableError
from tasks.jobs import notifications as job
from tests.factories.calls import CALLS, Call, as_itself, as_member, operations
from tests.factories.members import APPID
from tests.factories.notifications import a_grant
from tests.factories.world import OTHER, OWNER, a_world
from tests.security.console import ROLE_CODES, a_console, token_of
from wsgi import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.wechat import FakeWeChat

pytestmark = pytest.mark.committing
on_one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@on_one_engine
@pytest.mark.parametrize("role", ROLE_CODES)
def test_a_personal_word_is_shown_once_for_a_reason_to_who_may_and_leaves_a_trace(core, role):
    console = a_console(core)
    client = console.browser(role)
    token, may = token_of(client), str(Permission.MEMBERS_REVEAL) in permissions_of((role,))
    sale, redemption = console.world.an_order(), console.world.a_redemption()
    for path, words in (
        (f"/admin/members/{console.world.owner.member_id}/reveal", {"phone"}),
        (f"/admin/orders/{sale.order_id}/receiver", {"receiver's name", "receiver's phone", "receiver's address"}),
        (f"/admin/redemptions/{redemption.id}/receiver", {"receiver's name", "receiver's phone", "receiver's address"}),
    ):
        for reason, shown in ((" ", set()), ("parcel came back", words if may else set())):
            text = client.post(path, data={"csrf_token": token, "reason": reason}).get_data(as_text=True)
            assert OWNER.found_in(text) == shown, (path, reason)
    with core.db.reading() as session:
        traces = session.scalars(
            sa.select(AuditEntry).where(AuditEntry.action.in_(["member.reveal_phone", "order.reveal", "redemption.reveal"]))
        ).all()
        assert [trace.reason for trace in traces] == (["parcel came back"] * 3 if may else [])
        # The trail itself keeps that it was shown, not what.
        everything = " ".join(repr((trace.before, trace.after, trace.reason)) for trace in session.scalars(sa.select(AuditEntry)))
    assert OWNER.found_in(everything) == set()


@on_one_engine
def test_no_answer_of_the_api_shows_a_personal_word_of_anybody(core):
    client = create_app(core=core).test_client()
    world, guards = a_world(core), operations(client.application)
    world.an_order(of=world.other, receiver=OTHER)
    leaks = []
    for operation in CALLS:
        text = as_itself(client, operation, world, guards[operation]).get_data().decode(errors="replace")
        # Even to oneself: the mini-program shows numbers masked, and a screenshot or a shared phone shows no more.
        leaks += [(operation, what) for what in sorted(OWNER.found_in(text) | OTHER.found_in(text))]
        if OTHER.nickname in text:
            leaks.append((operation, "another's nickname"))
    assert leaks == []


@on_one_engine
def test_no_list_of_a_members_shows_what_another_has(core):
    client = create_app(core=core).test_client()
    world, guards = a_world(core), operations(client.application)
    things = [world.a_coupon(), world.a_message(), world.an_order().order_no, world.a_ticket(), world.an_entry(), world.a_session()]
    shown, leaks = "", []
    for operation, guard in guards.items():
        if guard != "member" or not operation.startswith("GET") or "{" in operation:
            continue
        path = CALLS[operation](world).path.split("?")[0]
        shown += as_member(client, Call("GET", path), world.owner).text
        first = as_member(client, Call("GET", f"{path}?limit=1"), world.owner)
        cursor = (first.json.get("next_cursor") if isinstance(first.json, dict) else None) or ""
        for call in (Call("GET", path), Call("GET", f"{path}?cursor={cursor}")):
            text = as_member(client, call, world.other).text
            leaks += [(operation, thing) for thing in [*things, str(world.owner.member_id), OWNER.nickname] if thing in text]
    assert leaks == []
    assert [thing for thing in things if thing not in shown] == []


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Give everything that is logged, as it would be in production, down to DEBUG."""
    root, sink, stderr = logging.getLogger(), io.StringIO(), sys.stderr
    handlers, level, settings = list(root.handlers), root.level, structlog.get_config()
    sys.stderr = sink
    try:
        configure_logging("DEBUG", "json")
        yield sink
    finally:
        sys.stderr = stderr
        root.handlers, root.level = handlers, level
        structlog.configure(**settings)


def test_nothing_that_is_logged_names_anybody(log: io.StringIO, core: Any, wechat: FakeWeChat) -> None:
    app = create_app(core=core)
    client = app.test_client()
    world, guards = a_world(core), operations(app)
    for operation in CALLS:
        as_itself(client, operation, world, guards[operation])
    # Failures: in a view, in the database, at WeChat, at the log-in, and in what an honest client never sends.
    app.config["PROPAGATE_EXCEPTIONS"] = False
    wechat.login_failures = [RuntimeError(f"{OWNER.openid} {OWNER.phone} access_token=abc")]
    assert client.post("/api/v1/auth/wechat", json={"code": "x"}).status_code == 500
    wechat.login_failures = [WeChatUnavailableError("timeout")]
    client.post("/api/v1/auth/wechat", json={"code": "x"})
    message = world.a_message()
    world.run(lambda s: a_grant(s, world.owner.member_id, key="log", now=world.now))
    wechat.failures = [RuntimeError(f"errcode 40003 touser {OWNER.openid}")]
    try:
        job.deliver_batch(core, [UUID(message)])
    except RuntimeError:
        logging.getLogger("job").exception("delivery_failed")
    _fail_in_the_database(core, app)
    logging.getLogger("any").warning("member %s of %s, %s", OWNER.openid, APPID, OWNER.phone, extra={"receiver": OWNER.name})
    for path in ("/api/v1/orders/13912340017", f"/partner/v1/orders/shop/{OWNER.openid}", f"/admin/members/?phone={OWNER.phone}"):
        client.get(path)
    text = log.getvalue()
    assert text.count("\n") > 60
    assert "request_failed" in text
    assert "INSERT INTO members" in text
    assert OWNER.found_in(text) == set()
    assert OWNER.nickname not in text
    for token in (world.owner.headers["Authorization"].split(" ")[1], world.till.secret, core.settings.secret_key):
        assert token not in text


def _fail_in_the_database(core: Any, app: Any) -> None:
    """Let a row be refused whose values are personal, and log it as any failure is."""
    row = {"id": uuid7(), "status": "no such status", "nickname": OWNER.nickname, "city": OWNER.address, "interests": [OWNER.name]}
    now = core.clock.now()
    with pytest.raises(sa.exc.DBAPIError) as refused, core.db.transaction() as session:
        session.execute(sa.insert(Member).values(**row, gender="unknown", joined_via="x", joined_at=now, updated_at=now))
    app.logger.error("statement_failed", exc_info=refused.value)
