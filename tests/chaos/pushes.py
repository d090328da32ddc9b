"""WeChat in this process, which counts what it is asked to push; and the members who allowed it."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta

import sqlalchemy as sa
from werkzeug.serving import make_server

from server.kernel.actors import SystemActor
from server.kernel.ids import uuid7
from server.members import service as members
from server.notifications import delivery, service
from server.notifications.models import NotificationGrant, NotificationGrantEntry, NotificationMessage
from server.notifications.templates import PointsAccrued
from server.wechat.emulator.app import create_app
from server.wechat.emulator.platform import Platform
from tasks.jobs.notifications import CLAIM_SIZE

REASON = "Receipt "


class CountingPlatform(Platform):
    """The emulated WeChat; counts the pushes of each receipt, which is what its reason names."""

    def __init__(self, appid: str, secret: str) -> None:
        super().__init__(appid, secret)
        self.pushed: Counter[int] = Counter()
        self.address = ""

    def send(self, body):
        message = super().send(body)
        self.pushed[int(body["data"]["thing1"]["value"].removeprefix(REASON))] += 1
        return message


@contextmanager
def emulated_wechat(settings):
    """Serve WeChat from a thread."""
    platform = CountingPlatform(settings.wechat_appid, settings.wechat_secret)
    server = make_server("127.0.0.1", 0, create_app(platform), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        platform.address = f"http://127.0.0.1:{server.server_port}/"
        yield platform
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def followers(core, platform, size, *, allowances):
    """Return the ids of members who logged in with WeChat and allow so many pushes each, at any hour."""
    now = datetime.now(UTC)
    with core.db.transaction() as session:
        template = PointsAccrued.demo_template_id
        service.set_template(session, PointsAccrued.code, wechat_template_id=template, actor=SystemActor("test"), now=now)
        ids = [
            members.login_with_wechat(session, appid=core.settings.wechat_appid, openid=f"openid-{number}", unionid=None, now=now).member_id
            for number in range(size)
        ]
        for number, member_id in enumerate(ids):
            for _ in range(allowances):
                platform.popup(f"openid-{number}", template, accept=True)
            service.choose_quiet_hours(session, member_id, (time(0), time(0)), now=now)
            known = {"id": uuid7(), "member_id": member_id, "template": PointsAccrued.code}
            session.add(NotificationGrant(**known, available=allowances, updated_at=now))
            change = {"kind": "credit", "available_change": allowances, "reserved_change": 0, "occurred_at": now}
            session.add(NotificationGrantEntry(**known | {"id": uuid7()}, key=f"{member_id}:all", message_id=None, **change))
    return ids


def check_pushes(core, platform, number_of, *, worker_kills):
    """Return the count of messages by state, after what was cut off in the middle of a call was set aside.

    A message is pushed once, or it is uncertain and was pushed once or not at all; none is pushed twice.

    Arguments:
        core: of the test.
        platform: that was pushed to.
        number_of: the receipt that a message's key stands for.
        worker_kills: how often the worker that pushes was killed; only so many batches can have been cut off.
    """
    after_the_leases = datetime.now(UTC) + timedelta(hours=1)
    core.db.run(lambda session: delivery.expire(session, now=after_the_leases, limit=10_000))
    with core.db.reading() as session:
        state_of = {number_of(row.key): row.state for row in session.execute(sa.select(NotificationMessage.key, NotificationMessage.state))}
        pushed = platform.pushed
        assert {number: times for number, times in pushed.items() if times > 1} == {}
        assert {number for number, state in state_of.items() if state == "sent"} <= pushed.keys()
        assert {state_of[number] for number in pushed} <= {"sent", "uncertain"}
        states = Counter(state_of.values())
        assert states.keys() <= {"sent", "uncertain"}
        assert states["uncertain"] <= CLAIM_SIZE * worker_kills
        grants = session.execute(sa.select(sa.func.sum(NotificationGrant.available), sa.func.sum(NotificationGrant.reserved))).one()
        entry = NotificationGrantEntry
        assert grants == session.execute(sa.select(sa.func.sum(entry.available_change), sa.func.sum(entry.reserved_change))).one()
    return states
