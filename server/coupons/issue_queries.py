"""Reading files of members that coupons are issued to, for staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from server.coupons.errors import IssueFileNotFoundError
from server.coupons.models import Coupon, CouponGift, CouponIssueFile, CouponIssueRefusal, CouponRecall, CouponTemplate
from server.coupons.queries import BATCH_NAMESPACE, CouponView, coupon_view
from server.coupons.rules.states import CouponState
from server.kernel.pagination import Page, PageRequest, keyset, page_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class IssueFileView:
    """A file as it stands: ``members`` of its rows were found, ``refused`` were not, or could not have a coupon."""

    id: UUID
    template_id: UUID
    name: str
    state: str
    members: int
    issued: int
    refused: int
    reason: str | None
    transfer_id: UUID | None
    created_at: datetime
    created_by: str
    finished_at: datetime | None
    template_name: str


@dataclass(frozen=True, slots=True)
class RefusalView:
    """A row that gave no coupon: its line, the column that was wrong if one was, and the code of why."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecallPreview:
    """What a recall would do: ``unused`` would be voided; ``used`` are redeemed or kept for an order, ``over`` expired or voided."""

    unused: int
    used: int
    over: int


@dataclass(frozen=True, slots=True)
class RecallView:
    """A recall of a file as it stands."""

    id: UUID
    state: str
    reason: str
    voided: int
    kept: int
    approval_id: UUID | None
    transfer_id: UUID | None
    created_at: datetime
    created_by: str
    finished_at: datetime | None


_RECALL = tuple(getattr(CouponRecall, name) for name in RecallView.__slots__)
_OWN = tuple(getattr(CouponIssueFile, name) for name in IssueFileView.__slots__ if name != "template_name")


def find_file(session: Session, file_id: UUID) -> IssueFileView:
    """Return a file.

    Raises:
        IssueFileNotFoundError: there is none.
    """
    row = session.execute(_files().where(CouponIssueFile.id == file_id)).one_or_none()
    if row is None:
        raise IssueFileNotFoundError
    return IssueFileView(*row)


def list_files(session: Session, page: PageRequest) -> Page[IssueFileView]:
    """Return files, newest first."""
    rows = session.execute(keyset(_files(), CouponIssueFile.created_at, CouponIssueFile.id, page)).all()
    return page_of([IssueFileView(*row) for row in rows], page, lambda view: (view.created_at, view.id))


def refusals(session: Session, file_id: UUID, *, limit: int | None = None) -> list[RefusalView]:
    """Return the rows of a file that gave no coupon, by line."""
    of = CouponIssueRefusal
    statement = sa.select(of.line, of.column_name, of.reason).where(of.file_id == file_id).order_by(of.line).limit(limit)
    return [RefusalView(*row) for row in session.execute(statement)]


def recall_preview(session: Session, file_id: UUID, *, now: datetime) -> RecallPreview:
    """Return what taking back a file's coupons would do now.

    Raises:
        IssueFileNotFoundError: there is no such file.
    """
    ended = sa.and_(Coupon.state == CouponState.ISSUED, Coupon.valid_until <= now)
    fate = sa.case(
        (ended, "over"),
        (Coupon.state.in_((CouponState.ISSUED, CouponState.OFFERED)), "unused"),
        (Coupon.state.in_((CouponState.LOCKED, CouponState.REDEEMED)), "used"),
        else_="over",
    ).label("fate")
    counted = sa.select(fate, sa.func.count()).where(_given(session, file_id)).group_by("fate")
    counts = {name: int(number) for name, number in session.execute(counted)}
    return RecallPreview(counts.get("unused", 0), counts.get("used", 0), counts.get("over", 0))


def used_of(session: Session, file_id: UUID, page: PageRequest, *, now: datetime) -> Page[CouponView]:
    """Return the coupons of a file that are redeemed or kept for an order, newest first.

    Raises:
        IssueFileNotFoundError: there is no such file.
    """
    statement = sa.select(Coupon).where(_given(session, file_id), Coupon.state.in_((CouponState.LOCKED, CouponState.REDEEMED)))
    rows = session.scalars(keyset(statement, Coupon.issued_at, Coupon.id, page)).all()
    return page_of(rows, page, lambda row: (row.issued_at, row.id)).map(lambda row: coupon_view(row, now))


def recall_of(session: Session, file_id: UUID) -> RecallView | None:
    """Return the recall of a file that was begun, else the one asked for last, or None."""
    begun = sa.case((CouponRecall.begun_slot.is_not(None), 0), else_=1)
    statement = sa.select(*_RECALL).where(CouponRecall.file_id == file_id)
    row = session.execute(statement.order_by(begun, CouponRecall.created_at.desc(), CouponRecall.id.desc()).limit(1)).one_or_none()
    return None if row is None else RecallView(*row)


def _given(session: Session, file_id: UUID) -> sa.ColumnElement[bool]:
    """Say which coupons a file's rows have come to: its own, and in the place of one that was given to a friend, the friend's."""
    template_id = find_file(session, file_id).template_id

    def of_file(coupon: Any) -> sa.ColumnElement[bool]:
        # By the template first, which has an index; no engine's order of texts is trusted with the beginning of a key.
        return sa.and_(
            coupon.template_id == template_id,
            coupon.source_namespace == BATCH_NAMESPACE,
            coupon.source_key.startswith(f"file:{file_id.hex}:"),
        )

    first = aliased(Coupon)
    passed_on = sa.select(CouponGift.received_coupon_id).join(first, first.id == CouponGift.coupon_id)
    passed_on = passed_on.where(of_file(first), CouponGift.received_coupon_id.is_not(None))
    return sa.or_(sa.and_(of_file(Coupon), Coupon.state != CouponState.GIVEN), Coupon.id.in_(passed_on))


def _files() -> sa.Select[Any]:
    return sa.select(*_OWN, CouponTemplate.name).join(CouponTemplate, CouponTemplate.id == CouponIssueFile.template_id)
