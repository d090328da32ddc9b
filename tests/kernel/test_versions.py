"""What people save as versions: of two who save the next one at once, the second is told so on every engine."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from server.kernel.errors import SavedMeanwhileError
from server.orders import policies as order_policies
from server.points import controls
from server.points import service as points
from server.points.control_rules import Controls
from server.points.rules import PolicySettings
from server.referrals import service as referrals
from server.referrals.rules import ReferralPolicy
from server.rewards import service as rewards
from server.rewards.rules.paying import PaymentPolicy
from server.risk import rules as risk_rules
from server.risk import service as risk
from tests.conftest import START
from tests.factories.orders import SYSTEM

SAVE = {
    "order_policies": lambda session: order_policies.change(session, order_policies.OrderPolicies(claim_days=9), actor=SYSTEM, now=START),
    "points_controls": lambda session: controls.declare(session, Controls(adjust_limit=7), actor=SYSTEM, now=START),
    "points_payment_policies": lambda session: rewards.set_payment_policy(session, PaymentPolicy(200), actor=SYSTEM, now=START),
    "points_settings": lambda session: points.change_settings(session, PolicySettings(reopen_days=40), actor=SYSTEM, now=START),
    "risk_rule_versions": lambda session: risk.change_rules(session, risk_rules.DEFAULTS, actor=SYSTEM, now=START),
    "referral_policies": lambda session: referrals.change_policy(session, ReferralPolicy(inviter_points=9), actor=SYSTEM, now=START),
}


@pytest.mark.parametrize("table", SAVE)
def test_who_saves_a_version_that_was_saved_meanwhile_is_told_so(core, table):
    with core.db.transaction() as session:
        SAVE[table](session)
    with pytest.raises(SavedMeanwhileError), core.db.transaction() as session:
        session.execute(sa.text(f"INSERT INTO {table} SELECT * FROM {table}"))
