"""Forms of the rules by which coupons are issued by themselves, one for each kind, and the draft that each describes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from wtforms import HiddenField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.formats import Tag
from admin.forms import (
    L_,
    BooleanField,
    ConsoleForm,
    FormSection,
    IntegerField,
    LocalInstantField,
    ManyField,
    MoneyField,
    StringField,
    TextAreaField,
)
from server.kernel.text import N_
from server.triggers.rules import MOST_BACK_DAYS, MOST_FEN, MOST_LAPSE_DAYS, Terms, TriggerKind
from server.triggers.service import RuleDraft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.triggers.queries import RuleView

KINDS: dict[object, Tag] = {
    TriggerKind.WELCOME: Tag(N_("Welcome pack"), "green"),
    TriggerKind.TIER_UP: Tag(N_("Tier reached"), "gold"),
    TriggerKind.ORDER: Tag(N_("Order earns a coupon"), "blue"),
    TriggerKind.WIN_BACK: Tag(N_("Win back"), "purple"),
}
_CODES = L_("Codes with commas between; empty for all.")
_SEPARATORS = re.compile(r"[,，、;；\s]+")


class TriggerForm(ConsoleForm):
    """What all kinds have."""

    code = StringField(L_("Code"), [InputRequired(), Length(max=40)], description=L_("Stays the same through all versions."))
    name = StringField(
        L_("Name"), [InputRequired(), Length(max=80)], description=L_("Members read it in the message that tells them of the coupon.")
    )
    coupons = ManyField(
        L_("Coupons given"), choices=[], description=L_("One of each, at most 5. A template's own limits hold: stock, budget, per member.")
    )
    segments = ManyField(
        L_("Only members of these segments"), choices=[], description=L_("As of the last build of each; everybody when none is ticked.")
    )
    enabled = BooleanField(L_("Published"), default=True, description=L_("Paused, it gives nothing, news that is still waiting included."))
    valid_from = LocalInstantField(L_("Valid from"), [Optional()])
    valid_until = LocalInstantField(L_("Valid until"), [Optional()])
    reason = TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=300)], description=L_("Kept in the audit trail."))
    version = HiddenField()


class TierUpForm(TriggerForm):
    """A tier that growth reached."""

    tiers = ManyField(L_("Only tiers"), choices=[], description=L_("All tiers when none is ticked."))


class WinBackForm(TriggerForm):
    """A long absence."""

    lapse_days = IntegerField(L_("After so many days without a paid order"), [InputRequired(), NumberRange(1, MOST_LAPSE_DAYS)], default=90)
    back_days = IntegerField(
        L_("Away longer already (days)"),
        [Optional(), NumberRange(0, MOST_BACK_DAYS)],
        default=0,
        description=L_("When the rule begins, who has stayed away up to so many days longer gets a coupon too."),
    )


class OrderForm(TriggerForm):
    """An order that earns a coupon."""

    min_paid_fen = MoneyField(
        L_("Orders from (yuan)"), [InputRequired(), NumberRange(1, MOST_FEN)], description=L_("Cash paid for its goods, without shipping.")
    )
    channels = StringField(L_("Only channels"), [Length(max=2000)], description=_CODES)
    stores = StringField(L_("Only stores"), [Length(max=2000)], description=_CODES)


FORMS: dict[TriggerKind, type[TriggerForm]] = {
    TriggerKind.WELCOME: TriggerForm,
    TriggerKind.TIER_UP: TierUpForm,
    TriggerKind.WIN_BACK: WinBackForm,
    TriggerKind.ORDER: OrderForm,
}
_OWN: dict[TriggerKind, list[str]] = {
    TriggerKind.WELCOME: [],
    TriggerKind.TIER_UP: ["tiers"],
    TriggerKind.WIN_BACK: ["lapse_days", "back_days"],
    TriggerKind.ORDER: ["min_paid_fen", "channels", "stores"],
}


def sections_of(kind: TriggerKind) -> list[FormSection]:
    """Return the fields of a kind's form, in groups."""
    return [
        FormSection(N_("Rule"), ["code", "name", *_OWN[kind], "coupons", "segments"]),
        FormSection(N_("Validity"), ["enabled", "valid_from", "valid_until"]),
        FormSection(N_("For the record"), ["reason"]),
    ]


def offer(form: Any, templates: Mapping[str, str], tiers: Mapping[str, str], segments: Mapping[str, str]) -> None:
    """Let a form offer the templates and tiers there are, and keep those it names that are gone.

    Arguments:
        form: of any kind.
        templates: code → name of the published templates.
        tiers: code → name as the reader reads it, the lowest first.
        segments: code → name.
    """
    for field, offered in ((form.coupons, templates), (getattr(form, "tiers", None), tiers), (form.segments, segments)):
        if field is not None:
            gone = [code for code in field.object_data or [] if code not in offered]
            field.choices = [*(SelectChoice(code, name) for code, name in offered.items()), *(SelectChoice(code, code) for code in gone)]


def values_of(rule: RuleView) -> dict[str, Any]:
    """Return what a form shows of a version."""
    terms = rule.terms
    return {
        "code": rule.code,
        "name": rule.name,
        "enabled": rule.enabled,
        "valid_from": rule.valid_from,
        "valid_until": rule.valid_until,
        "version": rule.version,
        "coupons": list(terms.coupons),
        "tiers": list(terms.tiers),
        "segments": list(terms.segments),
        "lapse_days": terms.lapse_days,
        "back_days": terms.back_days,
        "min_paid_fen": terms.min_paid_fen,
        "channels": ", ".join(terms.channels),
        "stores": ", ".join(terms.stores),
    }


def terms_of(kind: TriggerKind, form: Any) -> Terms:
    """Return the terms that a form describes."""
    lists = {"tiers": lambda data: tuple(data or ()), "channels": _listed, "stores": _listed}
    own: dict[str, Any] = {name: lists[name](form[name].data) if name in lists else form[name].data or 0 for name in _OWN[kind]}
    return Terms(tuple(form.coupons.data or ()), segments=tuple(form.segments.data or ()), **own)


def draft_of(kind: TriggerKind, form: Any, code: str | None) -> RuleDraft:
    """Return the version that a form describes.

    Arguments:
        kind: of the rule.
        form: as it was sent.
        code: of the rule that gets another version; None for a new one.
    """
    version = str(form.version.data or "")
    return RuleDraft(
        code=code or form.code.data,
        kind=kind,
        name=form.name.data,
        terms=terms_of(kind, form),
        reason=form.reason.data,
        enabled=bool(form.enabled.data),
        valid_from=form.valid_from.data,
        valid_until=form.valid_until.data,
        expected=int(version) if code and version.isdecimal() and len(version) < 10 else 0,  # noqa: PLR2004 - no rule has so many
    )


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in _SEPARATORS.split(text or "") if part))
