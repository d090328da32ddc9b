"""Forms of the coupon pages, and the draft they describe."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wtforms import HiddenField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.forms import (
    L_,
    ConsoleForm,
    FormSection,
    IntegerField,
    LocalInstantField,
    ManyField,
    MoneyField,
    SelectField,
    StringField,
    TextAreaField,
)
from server.coupons.errors import TemplateInvalidError
from server.coupons.rules import hours
from server.coupons.rules.sentence import yuan
from server.coupons.rules.terms import DEFAULT_GROUP, Kind, Limits, Scope, TemplateDraft, Terms, Validity
from server.kernel.text import N_

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.coupons.queries import TemplateView

_SEPARATORS = re.compile(r"[,，、;；\s]+")
_YES_NO = [SelectChoice("yes", L_("Yes")), SelectChoice("no", L_("No"))]
_AMOUNT = re.compile(r"\d{1,9}(?:\.\d{1,2})?")
_LIST_HINT = L_("Codes, separated by commas; empty for all.")
_NO_LIMIT = L_("Empty for no limit.")
MAX_LIST = 500
# What a scope names and people type; segments are ticked.
_TYPED = tuple(name for name in Scope.__slots__ if name != "segments")

KINDS = {
    Kind.AMOUNT_OFF.value: N_("Amount off"),
    Kind.PERCENT_OFF.value: N_("Percentage coupon"),
    Kind.FREE_SHIPPING.value: N_("Free shipping"),
    Kind.EXCHANGE.value: N_("Exchange for goods"),
    Kind.STEPS.value: N_("Stepped discount"),
    Kind.GIFT.value: N_("Gift coupon"),
}


def _whole(label: Any, *, least: int = 1, **more: Any) -> IntegerField:
    return IntegerField(label, [Optional(), NumberRange(min=least)], **more)


class TemplateForm(ConsoleForm):
    """Everything a template says."""

    name = StringField(L_("Name"), [InputRequired(), Length(max=60)], description=L_("As the member reads it on the coupon."))
    code = StringField(L_("Code"), [InputRequired(), Length(max=63)], description=L_("Short and unique; it never changes."))
    kind = SelectField(L_("Kind"), choices=[SelectChoice(code, L_(label)) for code, label in KINDS.items()])
    description = TextAreaField(L_("Small print"), [Length(max=500)])
    amount_off_fen = MoneyField(L_("Amount off (yuan)"), [Optional(), NumberRange(min=1)], description=L_("For amount off."))
    percent_off = _whole(L_("Percent off"), description=L_("For percent off: 20 means the member pays 80 %."))
    cap_fen = MoneyField(L_("At most (yuan)"), [Optional(), NumberRange(min=1)], description=L_("The most one coupon takes off."))
    threshold_fen = MoneyField(
        L_("From an amount of (yuan)"), [Optional(), NumberRange(min=0)], description=L_("What the goods must cost.")
    )
    steps = TextAreaField(
        L_("Steps (yuan)"), [Length(max=500)], description=L_("For steps: one a line, from how much and how much off: 200 30")
    )
    gift_sku = StringField(
        L_("Product given"), [Length(max=64)], description=L_("For gifts: the product's code. One gift goes on an order.")
    )
    gift_quantity = _whole(L_("How many of it"))
    gift_value_fen = MoneyField(
        L_("Worth of the gift (yuan)"),
        [Optional(), NumberRange(min=1)],
        description=L_("What the gifts of one order cost the shop, for the budget."),
    )
    products = StringField(L_("For these products"), [Length(max=2000)], description=_LIST_HINT)
    categories = StringField(L_("For these categories"), [Length(max=2000)], description=_LIST_HINT)
    excluded_products = StringField(L_("Products left out"), [Length(max=2000)], description=L_("Codes, separated by commas."))
    excluded_categories = StringField(L_("Categories left out"), [Length(max=2000)], description=L_("Codes, separated by commas."))
    stores = StringField(L_("For these stores"), [Length(max=2000)], description=_LIST_HINT)
    channels = StringField(L_("Through these channels"), [Length(max=2000)], description=_LIST_HINT)
    tiers = StringField(L_("For these tiers"), [Length(max=500)], description=_LIST_HINT)
    segments = ManyField(
        L_("For members of these segments"),
        choices=[],
        description=L_("As of the last build of each; nobody else can claim, be given or use it. All members when none is ticked."),
    )
    valid_from = LocalInstantField(L_("Valid from"), [Optional()])
    valid_until = LocalInstantField(L_("Valid until"), [Optional()])
    days = _whole(L_("Or: days of validity"), description=L_("Business days, the first one included."))
    starts_after_days = _whole(L_("Beginning after (days)"), least=0, default=0)
    blackouts = TextAreaField(L_("Days it rests"), [Length(max=1000)], description=L_("One period a line: 2026-10-01 2026-10-07"))
    hours = TextAreaField(
        L_("Hours it holds"),
        [Length(max=500)],
        description=L_("One window a line, weekdays (1 is Monday) first if not every day: 1-5 22:00-02:00; empty for always."),
    )
    first_order_only = SelectField(L_("On the first order only"), choices=_YES_NO, default="no")
    giftable = SelectField(
        L_("May be given to a friend"), choices=_YES_NO, default="no", description=L_("Once, by a link that holds a day.")
    )
    return_grace_days = _whole(L_("Grace after a return (days)"), least=0, default=0)
    exclusion_group = StringField(
        L_("Exclusion group"),
        [InputRequired(), Length(max=32)],
        default=DEFAULT_GROUP,
        description=L_("One coupon of a group goes on an order."),
    )
    combinable = SelectField(L_("Goes with other coupons"), choices=_YES_NO, default="yes")
    priority = _whole(L_("Order of application"), least=0, default=100, description=L_("The lowest is applied first."))
    stock = _whole(L_("Stock"), description=_NO_LIMIT)
    daily_stock = _whole(L_("Stock for a day"), description=_NO_LIMIT)
    budget_fen = MoneyField(L_("Budget (yuan)"), [Optional(), NumberRange(min=1)], description=L_("Σ of the most each coupon can cost."))
    per_member = _whole(L_("For each member"), default=1, description=_NO_LIMIT)
    per_member_daily = _whole(L_("For each member a day"), description=_NO_LIMIT)
    claim_centre = SelectField(L_("In the claim centre"), choices=_YES_NO, default="yes")
    claim_from = LocalInstantField(L_("Claiming from"), [Optional()])
    claim_until = LocalInstantField(L_("Claiming until"), [Optional()])


SECTIONS = [
    FormSection(
        N_("What it promises"),
        [
            *("name", "code", "kind", "amount_off_fen", "percent_off", "cap_fen", "threshold_fen"),
            *("steps", "gift_sku", "gift_quantity", "gift_value_fen", "description"),
        ],
    ),
    FormSection(
        N_("Where it applies"),
        [
            *("products", "categories", "excluded_products", "excluded_categories", "stores", "channels", "tiers", "segments"),
            *("first_order_only", "giftable"),
        ],
    ),
    FormSection(
        N_("How long it holds"),
        ["valid_from", "valid_until", "days", "starts_after_days", "return_grace_days", "blackouts", "hours"],
        N_("Either two fixed instants or a number of days from its issue."),
    ),
    FormSection(N_("With other coupons"), ["exclusion_group", "combinable", "priority"]),
    FormSection(
        N_("How many there may be"),
        ["stock", "daily_stock", "budget_fen", "per_member", "per_member_daily", "claim_centre", "claim_from", "claim_until"],
    ),
]


class IssueForm(ConsoleForm):
    """A list of members."""

    card_nos = TextAreaField(
        L_("Card numbers"), [InputRequired(), Length(max=20000)], description=L_("One a line or separated by commas, at most 500.")
    )
    reason = TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=300)], description=L_("Kept in the audit trail."))
    batch = HiddenField()


class ScanForm(ConsoleForm):
    """A coupon shown in a store."""

    coupon_code = StringField(L_("Coupon code"), [InputRequired(), Length(max=20)], description=L_("Scan it from the member's phone."))
    external_no = StringField(L_("Receipt number"), [InputRequired(), Length(max=64)])
    goods_fen = MoneyField(
        L_("Goods (yuan)"), [InputRequired(), NumberRange(min=1)], description=L_("Of those the coupon is for, before the coupon.")
    )
    store = StringField(L_("Store code"), [Length(max=64)], description=L_("Needed for coupons of certain stores."))


def offer_segments(form: TemplateForm, segments: Mapping[str, str]) -> None:
    """Let a form offer the segments there are.

    Arguments:
        form: of a template.
        segments: code → name.
    """
    form.segments.choices = [SelectChoice(code, name) for code, name in segments.items()]


def codes_in(text: str | None) -> tuple[str, ...]:
    """Return the codes of a list that people typed, in order, each once."""
    return tuple(dict.fromkeys(code for code in _SEPARATORS.split(text or "") if code))


def draft_of(form: TemplateForm) -> TemplateDraft:
    """Return the draft a form describes.

    Raises:
        TemplateInvalidError: for days, hours or steps that cannot be read.
    """
    terms = Terms(
        name=form.name.data or "",
        kind=Kind(form.kind.data),
        amount_off_fen=form.amount_off_fen.data or 0,
        percent_off=form.percent_off.data or 0,
        cap_fen=form.cap_fen.data,
        threshold_fen=form.threshold_fen.data or 0,
        scope=Scope(segments=tuple(form.segments.data or ()), **{name: codes_in(form[name].data) for name in _TYPED}),
        blackouts=_periods(form.blackouts.data),
        exclusion_group=form.exclusion_group.data or "",
        combinable=form.combinable.data == "yes",
        priority=form.priority.data if form.priority.data is not None else 100,
        return_grace_days=form.return_grace_days.data or 0,
        description=form.description.data or "",
        steps=_steps(form.steps.data),
        gift_sku=(form.gift_sku.data or "").strip(),
        gift_quantity=form.gift_quantity.data or 0,
        gift_value_fen=form.gift_value_fen.data or 0,
        hours=_windows(form.hours.data),
        first_order_only=form.first_order_only.data == "yes",
        giftable=form.giftable.data == "yes",
    )
    limit_names = ("stock", "daily_stock", "budget_fen", "per_member", "per_member_daily", "claim_from", "claim_until")
    return TemplateDraft(
        code=form.code.data or "",
        terms=terms,
        validity=Validity(form.valid_from.data, form.valid_until.data, form.days.data, form.starts_after_days.data or 0),
        limits=Limits(**{name: form[name].data for name in limit_names}),
        claim_centre=form.claim_centre.data == "yes",
    )


def values_of(view: TemplateView) -> dict[str, Any]:
    """Return what a form shows of a template."""
    draft, terms = view.draft, view.draft.terms
    values: dict[str, Any] = {name: getattr(terms, name) for name in Terms.__slots__ if name not in {"scope", "blackouts", "combinable"}}
    values |= {name: ", ".join(getattr(terms.scope, name)) for name in Scope.__slots__}
    values |= {name: getattr(draft.limits, name) for name in Limits.__slots__}
    values |= {name: getattr(draft.validity, name) for name in Validity.__slots__}
    values["segments"] = list(terms.scope.segments)
    values["kind"] = terms.kind.value
    values["amount_off_fen"] = terms.amount_off_fen or None
    values["percent_off"] = terms.percent_off or None
    values["blackouts"] = "\n".join(f"{first} {last}" for first, last in terms.blackouts)
    values["steps"] = "\n".join(f"{yuan(threshold)} {yuan(amount)}" for threshold, amount in terms.steps)
    values["gift_quantity"], values["gift_value_fen"] = terms.gift_quantity or None, terms.gift_value_fen or None
    values["hours"] = "\n".join(hours.write(window) for window in terms.hours)
    values["first_order_only"] = "yes" if terms.first_order_only else "no"
    values["giftable"] = "yes" if terms.giftable else "no"
    values["combinable"] = "yes" if terms.combinable else "no"
    values["claim_centre"] = "yes" if draft.claim_centre else "no"
    values["code"] = draft.code
    return values


def _periods(text: str | None) -> tuple[tuple[date, date], ...]:
    periods = []
    for line in (text or "").splitlines():
        days = re.findall(r"\d{4}-\d{2}-\d{2}", line)
        if not line.strip():
            continue
        try:
            first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
        except (IndexError, ValueError):
            raise TemplateInvalidError(fields={"blackouts": N_("Please write days such as 2026-10-01 2026-10-07.")}) from None
        periods.append((first, last))
    return tuple(periods)


def _steps(text: str | None) -> tuple[tuple[int, int], ...]:
    steps = []
    for line in filter(str.strip, (text or "").splitlines()):
        amounts = _AMOUNT.findall(line)
        if len(amounts) != 2:  # noqa: PLR2004 - from how much, and how much off
            raise TemplateInvalidError(fields={"steps": N_("Please write steps such as 200 30, one a line.")})
        threshold, amount = (int(Decimal(each) * 100) for each in amounts)
        steps.append((threshold, amount))
    return tuple(steps)


def _windows(text: str | None) -> tuple[hours.Window, ...]:
    windows = [hours.read(line) for line in filter(str.strip, (text or "").splitlines())]
    if None in windows:
        raise TemplateInvalidError(fields={"hours": N_("Windows such as 10:00-14:00 or 1-5 22:00-02:00, at most 14.")})
    return tuple(window for window in windows if window is not None)
