"""Staff of the demonstration: one account for each role, with public passwords and authenticators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.staff import login, queries, service
from server.staff.demo import DEMO_ACCOUNTS

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext


def load(session: Session, demo: DemoContext) -> None:
    """Open the six accounts unless they exist; their log-ins are left in ``demo.credentials["staff"]``, their ids in ``demo.facts``."""
    shown = []
    for account in DEMO_ACCOUNTS:
        known = queries.login_account(session, account.email)
        staff_id = known.id if known else None
        if staff_id is None:
            staff_id = service.create(
                session,
                email=account.email,
                name=account.name,
                password=account.password,
                roles=[account.role],
                actor=demo.actor,
                reason="demonstration",
                now=demo.now,
            )
            login.set_known_secret(session, staff_id, account.totp_secret, now=demo.now)
        demo.facts[f"staff.{account.role}"] = staff_id
        shown.append({"email": account.email, "password": account.password, "totp_secret": account.totp_secret, "role": account.role})
    demo.credentials["staff"] = shown
