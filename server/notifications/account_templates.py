"""The account's templates at WeChat, and what in the catalogue of messages does not fit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.kernel.actors import Actor
from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7
from server.notifications import queries
from server.notifications.models import NotificationAccountTemplate
from server.notifications.templates import REGISTRY, carries
from server.wechat.gateway.templates import AccountTemplate

_TITLE_CHARS = 64
FITS, MISSING, FIELDS_DIFFER, NOT_CHOSEN, LONG_TERM = "fits", "missing", "fields_differ", "not_chosen", "long_term"


@dataclass(frozen=True, slots=True)
class Finding:
    """One message of the catalogue, compared with the account.

    Arguments:
        code: of the message.
        label: English msgid of its name.
        template_id: WeChat's template that is chosen for it, or None.
        verdict: ``fits``, ``missing`` (the account has no such template), ``fields_differ``, ``not_chosen`` or ``long_term``.
        enabled: whether it is pushed at all.
        absent: fields that are chosen and that the template does not have.
        unfit: fields that the template has and that cannot carry the text.
        idle: fields of the template that no text is chosen for; WeChat refuses a message without them.
    """

    code: str
    label: str
    template_id: str | None
    verdict: str
    enabled: bool
    absent: Sequence[str] = field(default_factory=tuple)
    unfit: Sequence[str] = field(default_factory=tuple)
    idle: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The catalogue against the account.

    Arguments:
        seen_at: when the account was looked at last, or None when it never was, or has no templates.
        findings: one for each message.
        unused: templates of the account that no message uses.
    """

    seen_at: datetime | None
    findings: Sequence[Finding]
    unused: Sequence[AccountTemplate]


def take_in(session: Session, found: Sequence[AccountTemplate], *, actor: Actor, now: datetime) -> bool:
    """Keep the account's templates as they are now, and write to the trail what changed.

    Arguments:
        session: of an open transaction.
        found: all templates of the account.
        actor: who had them looked up.
        now: present instant.

    Returns:
        True when something changed.
    """
    of = NotificationAccountTemplate
    rows = {row.template_id: row for row in session.scalars(sa.select(of).order_by(of.template_id).with_for_update())}
    wanted = {one.template_id[:64]: one for one in found}
    added, changed = [], []
    for template_id in sorted(wanted):
        one, row = wanted[template_id], rows.get(template_id)
        values = {"title": one.title[:_TITLE_CHARS], "fields": dict(one.fields), "one_time": one.one_time}
        if row is None:
            if insert_if_absent(session, of, {"id": uuid7(), "template_id": template_id, **values, "seen_at": now}):
                added.append(template_id)
            continue
        if (row.title, row.fields, row.one_time) != tuple(values.values()):
            changed.append(template_id)
            row.title, row.fields, row.one_time = one.title[:_TITLE_CHARS], dict(one.fields), one.one_time
        row.seen_at = now
    gone = sorted(set(rows) - set(wanted))
    for template_id in gone:
        session.delete(rows[template_id])
    session.flush()
    if not (added or changed or gone):
        return False
    audit.record(
        session,
        actor=actor,
        action="message_template.sync",
        subject_type="wechat_account",
        subject_id="templates",
        after={"added": added, "changed": changed, "gone": gone},
        now=now,
    )
    return True


def comparison(session: Session) -> Comparison:
    """Compare the messages there are with the account's templates."""
    of = NotificationAccountTemplate
    rows = session.scalars(sa.select(of).order_by(of.title, of.template_id)).all()
    account = {row.template_id: AccountTemplate(row.template_id, row.title, dict(row.fields), one_time=row.one_time) for row in rows}
    chosen = queries.templates(session)
    findings = [compared(one, account.get(one.wechat_template_id or "")) for one in chosen]
    used = {one.wechat_template_id for one in chosen}
    seen_at = max((row.seen_at for row in rows), default=None)
    return Comparison(seen_at, findings, [one for template_id, one in account.items() if template_id not in used])


def compared(chosen: queries.TemplateView, account: AccountTemplate | None) -> Finding:
    """Compare one message with the template that is chosen for it. Pure."""
    basics = (chosen.code, REGISTRY[chosen.code].label, chosen.wechat_template_id)
    if not chosen.wechat_template_id:
        return Finding(*basics, NOT_CHOSEN, chosen.enabled)
    if account is None:
        return Finding(*basics, MISSING, chosen.enabled)
    keys = chosen.field_keys
    absent = sorted(key for key in keys.values() if key not in account.fields)
    there = [(spec, keys[spec.name]) for spec in REGISTRY[chosen.code].specs if keys.get(spec.name) in account.fields]
    unfit = sorted(key for spec, key in there if not carries(spec, key))
    idle = sorted(set(account.fields) - set(keys.values()))
    verdict = FIELDS_DIFFER if absent or unfit or idle else FITS if account.one_time else LONG_TERM
    return Finding(*basics, verdict, chosen.enabled, absent, unfit, idle)
