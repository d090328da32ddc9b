"""Forms of the reward pages, and the draft they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.forms import (
    L_,
    ConsoleForm,
    FileField,
    FormSection,
    IntegerField,
    LocalInstantField,
    ManyField,
    MoneyField,
    SelectField,
    StringField,
    TextAreaField,
)
from server.coupons import queries as coupons
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.rewards.rules.terms import Kind, RewardDraft
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.rewards.queries import RewardView

KINDS = {
    Kind.COUPON.value: N_("Coupon"),
    Kind.GOODS.value: N_("Goods to be sent"),
    Kind.SERVICE.value: N_("Service in store"),
}
_NO_LIMIT = L_("Empty for no limit.")
_MOST_TEMPLATES = 100


def _whole(label: Any, **more: Any) -> IntegerField:
    return IntegerField(label, [Optional(), NumberRange(min=1)], **more)


class RewardForm(ConsoleForm):
    """Everything a reward says."""

    name = StringField(L_("Name"), [InputRequired(), Length(max=60)], description=L_("As the member reads it in the catalogue."))
    code = StringField(L_("Code"), [InputRequired(), Length(max=63)], description=L_("Short and unique; it never changes."))
    kind = SelectField(L_("Kind"), choices=[SelectChoice(code, L_(label)) for code, label in KINDS.items()], default=Kind.GOODS.value)
    coupon_template = SelectField(L_("Coupon to issue"), validate_choice=False, description=L_("For coupons: what the member gets."))
    voucher_days = _whole(
        L_("Voucher valid for (days)"), description=L_("For services: business days, the first one included; empty for ever.")
    )
    points = IntegerField(L_("Price in points"), [InputRequired(), NumberRange(min=1)])
    cash_fen = MoneyField(
        L_("Cash part (yuan)"), [Optional(), NumberRange(min=0)], description=L_("What is to be paid besides the points.")
    )
    pay_minutes = _whole(L_("Time to pay (minutes)"), default=30, description=L_("So long the points stay reserved for the cash part."))
    picture = FileField(L_("Picture"), description=L_("PNG, JPEG or WebP; a square one looks best."))
    description = TextAreaField(L_("Small print"), [Length(max=1000)])
    tiers = ManyField(L_("For these tiers"), validate_choice=False, description=L_("None ticked: for all."))
    on_sale_from = LocalInstantField(L_("On sale from"), [Optional()])
    on_sale_until = LocalInstantField(L_("On sale until"), [Optional()])
    stock = _whole(L_("Stock"), description=_NO_LIMIT)
    daily_stock = _whole(L_("Stock for a day"), description=_NO_LIMIT)
    per_member = _whole(L_("For each member"), description=_NO_LIMIT)
    per_member_daily = _whole(L_("For each member a day"), description=_NO_LIMIT)


SECTIONS = [
    FormSection(N_("What the member gets"), ["name", "code", "kind", "coupon_template", "voucher_days", "picture", "description"]),
    FormSection(N_("What it costs"), ["points", "cash_fen", "pay_minutes"]),
    FormSection(N_("For whom and when"), ["tiers", "on_sale_from", "on_sale_until"]),
    FormSection(N_("How many there may be"), ["stock", "daily_stock", "per_member", "per_member_daily"]),
]


class PaymentPolicyForm(ConsoleForm):
    """How points may pay for orders."""

    points_per_yuan = IntegerField(
        L_("Points for one yuan"), [InputRequired(), NumberRange(1, 100_000)], description=L_("100: a point is worth a fen.")
    )
    max_percent = IntegerField(
        L_("At most so many percent of the goods"),
        [InputRequired(), NumberRange(0, 100)],
        description=L_("0 switches paying with points off."),
    )
    max_points = _whole(L_("At most so many points on an order"), description=_NO_LIMIT)


def fill_choices(form: RewardForm, session: Session) -> None:
    """Offer the coupons that are published and the tiers there are."""
    found = coupons.list_templates(session, PageRequest(_MOST_TEMPLATES), state="published").items
    form.coupon_template.choices = [SelectChoice("", "–"), *(SelectChoice(str(each.id), each.name) for each in found)]
    form.tiers.choices = [SelectChoice(each.code, each.name) for each in tiers.definitions(session)]


def draft_of(form: RewardForm, picture_id: UUID | None) -> RewardDraft:
    """Return the draft a form describes.

    Arguments:
        form: validated.
        picture_id: the picture kept so far, or the one just stored.
    """
    kind, template = Kind(form.kind.data), form.coupon_template.data
    numbers = ("stock", "daily_stock", "per_member", "per_member_daily", "on_sale_from", "on_sale_until")
    return RewardDraft(
        code=form.code.data or "",
        kind=kind,
        name=form.name.data or "",
        points=form.points.data,
        cash_fen=form.cash_fen.data or 0,
        description=form.description.data or "",
        tiers=tuple(form.tiers.data or ()),
        coupon_template_id=_uuid(template) if kind is Kind.COUPON else None,
        picture_id=picture_id,
        pay_minutes=form.pay_minutes.data or 30,
        voucher_days=form.voucher_days.data if kind is Kind.SERVICE else None,
        **{name: form[name].data for name in numbers},
    )


def values_of(view: RewardView) -> dict[str, Any]:
    """Return what a form shows of a reward."""
    values: dict[str, Any] = {name: getattr(view.draft, name) for name in RewardDraft.__slots__}
    template = view.draft.coupon_template_id
    return values | {
        "kind": view.draft.kind.value,
        "tiers": list(view.draft.tiers),
        "coupon_template": str(template) if template else "",
        "cash_fen": view.draft.cash_fen or None,
    }


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
