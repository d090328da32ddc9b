"""Partners of the demonstration: a till, a web shop and an ERP. Their keys are known to everybody and never loaded in production."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from server.kernel.actors import PartnerActor
from server.partners import queries, rules, service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_PARTNERS = (
    ("门店收银 POS", "hk_DEMOTILL", rules.SCOPES),
    ("官方商城", "hk_DEMOSHOP", ("members:read", "orders:write", "coupons:write", "tickets:write")),
    ("仓储 ERP", "hk_DEMOERP", ("orders:write", "stock:write")),
)


def load(session: Session, demo: DemoContext) -> None:
    """Make the partners, and leave the till's key in the credentials, and the till among the facts."""
    for name, key_id, scopes in _PARTNERS:
        secret = hashlib.sha256(f"huiban demo partner {key_id}".encode()).hexdigest()
        if queries.by_name(session, name) is None:
            made = service.create(session, name, scopes, actor=demo.actor, now=demo.now, key_id=key_id, secret=secret)
            demo.facts.setdefault("partners.till", PartnerActor(made.partner_id, name))
        demo.credentials.setdefault("partner", {"key": key_id, "secret": secret})
