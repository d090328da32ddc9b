"""Writing the catalogue: create, change, publish, pause; and the policy of paying with points. Redemptions keep their own terms."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.audit import service as audit
from server.coupons import queries as coupons
from server.coupons.errors import TemplateNotFoundError
from server.files import queries as file_queries
from server.files import service as files
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.rewards import queries
from server.rewards.errors import (
    PolicyInvalidError,
    RewardCodeTakenError,
    RewardInvalidError,
    RewardNotFoundError,
    RewardStateError,
    StockBelowIssuedError,
)
from server.rewards.models import PointsPaymentPolicy, Reward, RewardVersion
from server.rewards.rules.paying import PaymentPolicy, policy_problems
from server.rewards.rules.states import REWARD_EDGES, RewardState
from server.rewards.rules.terms import RewardDraft, problems

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


def create_reward(session: Session, draft: RewardDraft, *, actor: Actor, now: datetime) -> UUID:
    """Write a reward; members see nothing of it until it is published.

    Returns:
        Its id.

    Raises:
        RewardInvalidError: naming the fields that are wrong.
        RewardCodeTakenError: the code belongs to another reward.
        UploadNotFoundError: the picture is not one that staff made.
    """
    _check(session, draft)
    if session.scalar(sa.select(Reward.id).where(Reward.code == draft.code)) is not None:
        raise RewardCodeTakenError
    row = Reward(
        id=uuid7(),
        code=draft.code,
        kind=draft.kind.value,
        state=RewardState.DRAFT.value,
        version=1,
        issued=0,
        day=None,
        day_issued=0,
        created_at=now,
        updated_at=now,
        **_columns(draft),
    )
    session.add(row)
    session.flush()
    _keep_version(session, row, draft, actor=actor, now=now)
    _note(session, row, "create", actor=actor, now=now, after=_facts(row))
    return row.id


def update_reward(session: Session, reward_id: UUID, draft: RewardDraft, *, actor: Actor, now: datetime) -> int:
    """Change what redemptions from now on promise, and how many there may be. Code and kind stay.

    Returns:
        The number of the new version.

    Raises:
        RewardNotFoundError: there is none.
        RewardInvalidError: naming the fields that are wrong, code and kind when they differ.
        StockBelowIssuedError: a stock below what has been redeemed.
        UploadNotFoundError: the picture is not one that staff made.
    """
    row = _locked(session, reward_id)
    if draft.code != row.code:
        raise RewardInvalidError(fields={"code": N_("The code of a reward never changes.")})
    if draft.kind != row.kind:
        raise RewardInvalidError(fields={"kind": N_("The kind of a reward never changes.")})
    _check(session, draft)
    if draft.stock is not None and draft.stock < row.issued:
        raise StockBelowIssuedError(fields={"stock": StockBelowIssuedError.message})
    before = _facts(row)
    for name, value in _columns(draft).items():
        setattr(row, name, value)
    row.version += 1
    row.updated_at = now
    session.flush()
    _keep_version(session, row, draft, actor=actor, now=now)
    _note(session, row, "update", actor=actor, now=now, before=before, after=_facts(row))
    return row.version


def publish_reward(session: Session, reward_id: UUID, *, actor: Actor, now: datetime) -> None:
    """Open a reward to members.

    Raises:
        RewardNotFoundError: there is none.
        RewardStateError: it is published already.
    """
    _move(session, reward_id, "publish", actor=actor, now=now)


def pause_reward(session: Session, reward_id: UUID, *, actor: Actor, now: datetime) -> None:
    """Stop redeeming; redemptions already made go on.

    Raises:
        RewardNotFoundError: there is none.
        RewardStateError: it is not published.
    """
    _move(session, reward_id, "pause", actor=actor, now=now)


def set_payment_policy(session: Session, policy: PaymentPolicy, *, actor: Actor, now: datetime) -> int:
    """Say how points may pay for orders from now on.

    Returns:
        The number of this version; that of the version before when nothing differs.

    Raises:
        PolicyInvalidError: naming the fields that are wrong.
    """
    wrong = policy_problems(policy)
    if wrong:
        raise PolicyInvalidError(fields=wrong)
    before = queries.payment_policy(session)
    version = int(session.scalar(sa.select(sa.func.max(PointsPaymentPolicy.version))) or 0)
    if version and before == policy:
        return version
    session.add(PointsPaymentPolicy(id=uuid7(), version=version + 1, created_at=now, created_by=actor.ref[:80], **asdict(policy)))
    session.flush()
    audit.record(
        session,
        actor=actor,
        action="points_payment.set",
        subject_type="points_payment",
        subject_id=str(version + 1),
        before=asdict(before),
        after=asdict(policy),
        now=now,
    )
    return version + 1


def _move(session: Session, reward_id: UUID, event: str, *, actor: Actor, now: datetime) -> None:
    row = _locked(session, reward_id)
    sources, target = REWARD_EDGES[event]
    if RewardState(row.state) not in sources:
        raise RewardStateError(state=row.state)
    before = row.state
    # The version stays: it counts terms, and a redemption that names it finds the same ones.
    row.state = target.value
    row.updated_at = now
    session.flush()
    _note(session, row, event, actor=actor, now=now, before={"state": before}, after={"state": row.state})


def _locked(session: Session, reward_id: UUID) -> Reward:
    row = session.scalar(sa.select(Reward).where(Reward.id == reward_id).with_for_update().execution_options(populate_existing=True))
    if row is None:
        raise RewardNotFoundError
    return row


def _check(session: Session, draft: RewardDraft) -> None:
    wrong = problems(draft)
    if draft.coupon_template_id is not None and not wrong:
        try:
            coupons.find_template(session, draft.coupon_template_id)
        except TemplateNotFoundError:
            wrong = {"coupon_template": TemplateNotFoundError.message}
    if wrong:
        raise RewardInvalidError(fields=wrong)
    if draft.picture_id is not None:
        file_queries.owned(session, None, [draft.picture_id])


def _columns(draft: RewardDraft) -> dict[str, Any]:
    values = {name: getattr(draft, name) for name in RewardDraft.__slots__ if name not in {"code", "kind"}}
    return values | {"name": draft.name.strip(), "tiers": list(draft.tiers)}


def _keep_version(session: Session, row: Reward, draft: RewardDraft, *, actor: Actor, now: datetime) -> None:
    if draft.picture_id is not None:
        files.attach(session, [draft.picture_id], now=now)
    session.add(
        RewardVersion(
            id=uuid7(), reward_id=row.id, version=row.version, document=draft.to_document(), created_at=now, created_by=actor.ref[:80]
        )
    )
    session.flush()


def _facts(row: Reward) -> dict[str, Any]:
    names = ("state", "version", "points", "cash_fen", "stock", "daily_stock", "per_member", "per_member_daily", "pay_minutes")
    instants = {name: getattr(row, name) for name in ("on_sale_from", "on_sale_until")}
    return {
        "code": row.code,
        "name": row.name,
        "tiers": row.tiers,
        **{name: getattr(row, name) for name in names},
        **{name: value.isoformat() if value else None for name, value in instants.items()},
    }


def _note(
    session: Session, row: Reward, event: str, *, actor: Actor, now: datetime, after: dict[str, Any], before: dict[str, Any] | None = None
) -> None:
    audit.record(
        session, actor=actor, action=f"reward.{event}", subject_type="reward", subject_id=row.id, before=before, after=after, now=now
    )
