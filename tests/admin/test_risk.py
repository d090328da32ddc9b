"""Staff block, see what was refused, release it, and set the rules."""

from __future__ import annotations

from server.kernel.pagination import PageRequest
from server.risk import queries, rules, service
from server.risk.rules import Way
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.world import a_world


def test_staff_block_a_device_see_what_was_refused_and_release_it(core, signed_in_as):
    world = a_world(core)
    member_id = world.owner.member_id
    core.db.run(lambda session: service.note_device(session, member_id, "wx-device-0001", now=START))
    client = signed_in_as("operations")
    form = "/admin/risk/entries/new"
    values = {"kind": "device", "values": "wx-device-0001\nwx-device-0002", "scope": "all", "reason": "羊毛党", "until": ""}
    assert client.post(form, data={**values, "csrf_token": token_of(client, form)}).status_code == 302
    core.db.run(lambda session: service.ask(session, member_id, Way.CODE, now=START))
    with core.db.reading() as session:
        (refusal,) = queries.refusals(session, PageRequest(5)).items
    path = f"/admin/risk/refusals/{refusal.id}"
    for page in (
        "/admin/risk/",
        "/admin/risk/entries?live=yes",
        "/admin/risk/refusals?way=code&state=open",
        path,
        f"/admin/members/{member_id}",
    ):
        assert client.get(page).status_code == 200
    assert "wx-device" not in client.get("/admin/risk/entries").text
    values = {"days": "7", "reason": "本人", "csrf_token": token_of(client, f"{path}/release")}
    assert client.post(f"{path}/release", data=values).status_code == 302
    with core.db.reading() as session:
        assert queries.find_refusal(session, refusal.id).released_why == "本人"
        assert queries.hold_of(session, member_id, "coupons", START) is None
        assert queries.hold_of(session, member_id, "points", START) is not None
    one = f"/admin/risk/members/{member_id}/release/points"
    assert client.post(one, data={"days": "", "reason": "本人", "csrf_token": token_of(client, one)}).status_code == 302


def test_staff_set_the_rules(core, signed_in_as):
    client = signed_in_as("operations")
    form = "/admin/risk/rules"
    values = {f"{rule.code}__{part}": str(getattr(rule, part)) for rule in rules.DEFAULTS for part in ("most", "days")}
    values["codes_per_device__most"] = "9"
    values["codes_per_device__enabled"] = "y"
    assert client.post(form, data={**values, "csrf_token": token_of(client, form)}).status_code == 302
    with core.db.reading() as session:
        version, known = queries.velocity_rules(session)
    assert version == 1
    assert [(rule.code, rule.most) for rule in known if rule.enabled] == [("codes_per_device", 9)]
