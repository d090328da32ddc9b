"""The demonstration: a shop with people, orders and points in it, made through the same services as real ones.

Each module ``tasks/demo/<name>.py`` of ``LOADERS`` has one function ``load(session, demo)``. They run in this order in one
transaction, once for each database; a later loader finds in ``demo`` what earlier ones left there.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.kernel.actors import StaffActor, SystemActor
from server.kernel.clock import require_aware
from server.operations import queries, service
from server.staff.demo import DEMO_ACCOUNTS
from server.staff.permissions import permissions_of

if TYPE_CHECKING:
    from server.bootstrap import Core

LOADERS = (
    "staff",
    "catalogue",
    "points",
    "members",
    "partners",
    "coupons",
    "orders",
    "tills",
    "habits",
    "tiers",
    "referrals",
    "rewards",
    "money",
    "feedback",
    "notifications",
    "festivals",
    "triggers",
    "segments",
    "wechat",
    "screening",
    # Last: it sums up what the others made.
    "figures",
)
_SEED = 20260615


@dataclass
class DemoContext:
    """What loaders share.

    Attributes:
        now: the instant the demonstration is loaded at; histories lie before it.
        rng: seeded, so that every machine gets the same people; never ``random`` itself.
        actor: who did it, for services and the audit trail.
        sample_dir: folder with real product names and the like.
        core: of this process, for settings, zone and files.
        members: ids of the demo's members, by the members' loader.
        credentials: log-ins to show: ``staff`` → ``[{email, password, totp_secret, role}]``, ``partner`` → ``{key, secret}``,
            ``openids`` → openids of members the emulator can log in as.
        facts: anything else a later loader needs, by ``<loader>.<name>``.
    """

    now: datetime
    rng: random.Random
    actor: SystemActor
    sample_dir: Path
    core: Core
    members: list[UUID] = field(default_factory=list)
    credentials: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def staff(self, role: str) -> StaffActor:
        """Return the member of staff with a role, whom the staff's loader opened an account for."""
        account = next(one for one in DEMO_ACCOUNTS if one.role == role)
        return StaffActor(self.facts[f"staff.{role}"], account.name, permissions_of((role,)))


def load_demo(core: Core, between: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Load the demonstration into a database, unless it holds it already.

    Arguments:
        core: of this process.
        between: called before each loader; whatever it raises leaves the database as it was.

    Returns:
        The demo's credentials, kept in the database for the next start.

    Raises:
        RuntimeError: in production, where log-ins that everybody can read have no place.
    """
    if core.settings.production:
        raise RuntimeError("the demonstration is never loaded in production")
    with core.db.transaction() as session:
        now = require_aware(core.clock.now())
        if not service.claim_demo(session, now=now):
            return queries.demo_credentials(session) or {}
        demo = DemoContext(
            now=now,
            rng=random.Random(_SEED),  # noqa: S311 - the same demonstration everywhere is the point
            actor=SystemActor("demo"),
            sample_dir=Path(__file__).parent / "samples",
            core=core,
        )
        for name in LOADERS:
            between()
            if find_spec(f"{__name__}.{name}") is not None:
                import_module(f"{__name__}.{name}").load(session, demo)
        service.note_demo(session, demo.credentials, now=now)
        return demo.credentials
