"""A member sees their invitation, and a friend who joins by it on another device is bound."""

from __future__ import annotations

import pytest

from tests.factories.world import a_world


@pytest.mark.committing
def test_an_invitation_binds_the_friend_who_joins_by_it(core, client, wechat):
    world = a_world(core)

    def mine():
        return client.get("/api/v1/referral", headers={**world.owner.headers, "Accept-Language": "en"}).json

    first = mine()
    assert first["poster"]["scene"] == f"i={first['code']}"
    assert (first["invited"], first["rule"]["inviter_points"]) == (0, 100)

    def joins(openid, device):
        body = {"code": wechat.code_for(openid), "invite_code": first["code"].lower()}
        return client.post("/api/v1/auth/wechat", json=body, headers={"X-Device-Id": device})

    for openid, device in (("o-friend", "device-of-friend"), ("o-friend", "device-of-friend"), ("o-third", "short")):
        assert joins(openid, device).status_code == 200
    assert {**mine(), "invited": 2} == {**first, "invited": 2}
