"""Staff see invitations, decide on those that are held, and declare the policy."""

from __future__ import annotations

from server.referrals import queries, rules, service
from server.referrals.rules import ReferralPolicy
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.members import SYSTEM
from tests.factories.world import a_world


def test_staff_release_a_held_invitation_and_change_the_policy(core, signed_in_as):
    world = a_world(core)

    def work(session):
        service.change_policy(session, ReferralPolicy(daily_cap=1), actor=SYSTEM, now=START)
        service.bind(session, world.owner.member_id, world.owner.member_id, "22334455", None, now=START)
        return service.bind(session, world.owner.member_id, world.other.member_id, "22334455", None, now=START)

    referral_id = core.db.run(work)
    client = signed_in_as("operations")
    overview = client.get("/admin/referrals/").text
    assert f"/admin/referrals/{referral_id}/release" in overview
    path = f"/admin/referrals/{referral_id}"
    assert client.get(path).status_code == client.get("/admin/referrals/list?state=held&reason=velocity").status_code == 200
    form = "/admin/referrals/policy"
    client.post(f"{path}/release", data={"reason": "社区活动", "csrf_token": token_of(client, form)})
    values = {"enabled": "y", "inviter_points": "10", "friend_points": "5", "window_days": "30", "min_order_fen": "9.90", "daily_cap": "3"}
    values |= {"max_rewarded": "", "points_days": ""}
    assert client.post(form, data={**values, "csrf_token": token_of(client, form)}).status_code == 302
    with core.db.reading() as session:
        found = queries.find(session, referral_id)
        assert (found.state, found.decided_why) == (rules.WAITING, "社区活动")
        assert queries.policy(session) == (2, ReferralPolicy(True, 10, 5, 30, 990, 3, None, None))
