"""What WeChat pushed and what is asked of it: duties of withdrawn data, and the account's templates."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy.orm import Session

from server.flows import withdrawals as flow
from server.kernel.actors import SystemActor
from server.members import withdrawals
from server.notifications import account_templates

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.outbox import Event

_BATCH = 200


def on_data_withdrawn(session: Session, event: Event, core: Core) -> None:
    """Delete what a member withdrew in WeChat."""
    flow.carry_out(session, core.files, UUID(event.payload["push_id"]), appid=core.settings.wechat_appid, now=core.clock.now())


def carry_out_held(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Try again to delete what parcels under way still needed; return how many withdrawals are done now."""
    with core.db.reading() as session:
        ids = withdrawals.due(session, core.clock.now(), _BATCH)
    return sum(_carry_out_held(core, withdrawal_id) for withdrawal_id in ids)


def _carry_out_held(core: Core, withdrawal_id: UUID) -> bool:
    return core.db.run(lambda session: flow.carry_out_held(session, core.files, withdrawal_id, now=core.clock.now()))


def sync_templates(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Look up which templates the account has; return how many that are."""
    found = core.wechat.account_templates()
    actor = SystemActor("notifications.sync_templates")
    core.db.run(lambda session: account_templates.take_in(session, found, actor=actor, now=core.clock.now()))
    return len(found)
