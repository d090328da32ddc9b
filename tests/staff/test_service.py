"""Accounts are opened and changed with a reason, the three duties stay apart, and every change is on the trail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest

from server.audit import queries as audit
from server.kernel.actors import StaffActor, SystemActor
from server.kernel.errors import InvalidError
from server.staff import login, passwords, queries, rules, service
from server.staff.errors import (
    DutiesConflictError,
    EmailTakenError,
    LoginRefusedError,
    OwnAccountError,
    ReasonMissingError,
    StaffNotFoundError,
    UnknownRoleError,
    WeakPasswordError,
)
from server.staff.permissions import ROLES, Permission, duties_of, permissions_of

ACTOR = SystemActor("tests")
PASSWORD = "kqzv-7712-Berg-hain"


def open_account(core, email="lin@example.com", roles=("operations",), **more):
    values = {
        "email": email,
        "name": "林晓雯",
        "password": PASSWORD,
        "roles": roles,
        "actor": ACTOR,
        "reason": "joins",
        "now": core.clock.now(),
        **more,
    }
    return core.db.run(lambda session: service.create(session, **values))


def view(core, staff_id):
    with core.db.reading() as session:
        return queries.find(session, staff_id)


def actions(core, staff_id) -> list[str]:
    with core.db.reading() as session:
        wanted = audit.EntryFilter(subject_type="staff", subject_id=str(staff_id))
        return [entry.action for entry in audit.list_entries(session, wanted=wanted).items]


def test_no_role_holds_two_of_the_separated_duties_and_readers_of_the_trail_change_nothing():
    for role in ROLES:
        assert len(duties_of((role.code,))) <= 1
    auditor = permissions_of(("auditor",))
    assert all(code.endswith(":read") for code in auditor)
    assert Permission.AUDIT_READ not in permissions_of(("admin",))
    assert not permissions_of(("admin",)) & {"members:read", "staff:edit", "audit:read"}
    assert permissions_of(("nobody",)) == frozenset()


@pytest.mark.committing
def test_an_account_is_opened_with_its_roles_and_an_entry(core):
    staff_id = open_account(core, " Lin@Example.com ")
    found = view(core, staff_id)
    assert found is not None
    assert (found.email, found.roles, found.active, found.second_factor) == ("lin@example.com", ("operations",), True, False)
    assert actions(core, staff_id) == ["staff.create"]


@pytest.mark.committing
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"password": "short1"}, WeakPasswordError),
        ({"password": "password123456"}, WeakPasswordError),
        ({"roles": ()}, UnknownRoleError),
        ({"roles": ("king",)}, UnknownRoleError),
        ({"roles": ("admin", "auditor")}, DutiesConflictError),
        ({"reason": "  "}, ReasonMissingError),
        ({"email": "nobody"}, InvalidError),
        ({"name": ""}, InvalidError),
    ],
)
def test_what_is_not_right_opens_no_account(core, change, error):
    with pytest.raises(error):
        open_account(core, **change)
    with core.db.reading() as session:
        assert queries.list_accounts(session).items == []
        assert audit.list_entries(session).items == []


@pytest.mark.committing
def test_an_e_mail_address_belongs_to_one_account_even_in_a_race(core):
    def attempt(_):
        try:
            open_account(core)
        except EmailTakenError:
            return "taken"
        return "opened"

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(attempt, range(3)))
    assert sorted(answers) == ["opened", "taken", "taken"]


@pytest.mark.committing
def test_roles_change_with_a_reason_and_the_same_again_changes_nothing(core):
    staff_id = open_account(core)
    for _ in range(2):
        core.db.run(lambda s: service.assign_roles(s, staff_id, ["service", "store"], actor=ACTOR, reason="moves", now=core.clock.now()))
    assert view(core, staff_id).roles == ("service", "store")
    assert actions(core, staff_id).count("staff.assign_roles") == 1
    with pytest.raises(DutiesConflictError):
        core.db.run(lambda s: service.assign_roles(s, staff_id, ["admin", "security"], actor=ACTOR, reason="x", now=core.clock.now()))
    assert view(core, staff_id).roles == ("service", "store")


@pytest.mark.committing
def test_nobody_changes_their_own_roles_or_switches_themselves_off(core):
    staff_id = open_account(core, roles=("security",))
    me = StaffActor(staff_id, "林晓雯")
    for change in (
        lambda s: service.assign_roles(s, staff_id, ["operations"], actor=me, reason="x", now=core.clock.now()),
        lambda s: service.disable(s, staff_id, actor=me, reason="x", now=core.clock.now()),
        lambda s: service.reset_second_factor(s, staff_id, actor=me, reason="x", now=core.clock.now()),
    ):
        with pytest.raises(OwnAccountError):
            core.db.run(change)
    assert view(core, staff_id).roles == ("security",)
    core.db.run(lambda s: service.set_password(s, staff_id, "another-Good-1-quartz", actor=me, reason="own", now=core.clock.now()))
    assert "staff.set_password" in actions(core, staff_id)


@pytest.mark.committing
def test_switching_off_ends_sessions_at_once_and_switching_on_unlocks(core):
    staff_id = open_account(core)
    with core.db.reading() as session:
        before = queries.uniquifier_of(session, staff_id)
        assert queries.by_uniquifier(session, before).permissions == permissions_of(("operations",))
    core.db.run(lambda s: service.disable(s, staff_id, actor=ACTOR, reason="leaves", now=core.clock.now()))
    with core.db.reading() as session:
        assert queries.by_uniquifier(session, before) is None
        assert queries.uniquifier_of(session, staff_id) is None
    core.db.run(lambda s: service.enable(s, staff_id, actor=ACTOR, reason="back", now=core.clock.now()))
    with core.db.reading() as session:
        assert queries.by_uniquifier(session, before) is None
        assert queries.uniquifier_of(session, staff_id) not in {None, before}


@pytest.mark.committing
def test_an_unknown_account_is_not_found(core):
    from uuid import uuid4

    with pytest.raises(StaffNotFoundError):
        core.db.run(lambda s: service.disable(s, uuid4(), actor=ACTOR, reason="x", now=core.clock.now()))
    with pytest.raises(LoginRefusedError):
        core.db.run(lambda s: login.pass_code(s, uuid4(), "123456", address=None, now=core.clock.now()))


def enrolled(core):
    staff_id = open_account(core)
    secret = core.db.run(lambda s: login.begin_enrolment(s, staff_id))
    assert core.db.run(lambda s: login.begin_enrolment(s, staff_id)) == secret
    code = pyotp.TOTP(secret).at(core.clock.now())
    codes = core.db.run(lambda s: login.confirm_enrolment(s, staff_id, code, address=None, now=core.clock.now()))
    assert codes
    return staff_id, secret, codes


def passes(core, staff_id, code) -> bool:
    return core.db.run(lambda s: login.pass_code(s, staff_id, code, address="10.0.0.7", now=core.clock.now()))


@pytest.mark.committing
def test_a_one_time_code_works_once_even_in_a_race(core):
    staff_id, secret, _ = enrolled(core)
    core.clock.move(timedelta(minutes=1))
    code = pyotp.TOTP(secret).at(core.clock.now())
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: passes(core, staff_id, code), range(3)))
    assert sorted(answers) == [False, False, True]
    assert not passes(core, staff_id, code)


@pytest.mark.committing
def test_a_recovery_code_works_once(core):
    staff_id, _, codes = enrolled(core)
    shown = f"{codes[0][:5]}-{codes[0][5:]}".lower()
    assert passes(core, staff_id, shown)
    assert not passes(core, staff_id, shown)
    with core.db.reading() as session:
        assert queries.recovery_codes_left(session, staff_id) == len(codes) - 1


@pytest.mark.committing
def test_five_failures_lock_the_account_for_a_quarter_of_an_hour(core):
    staff_id, secret, _ = enrolled(core)
    core.clock.move(timedelta(minutes=1))
    for _ in range(rules.MAX_FAILURES):
        assert not passes(core, staff_id, "000000")
    assert view(core, staff_id).locked_until == core.clock.now() + rules.LOCK_TIME
    assert not passes(core, staff_id, pyotp.TOTP(secret).at(core.clock.now()))
    core.clock.move(rules.LOCK_TIME + timedelta(seconds=1))
    assert passes(core, staff_id, pyotp.TOTP(secret).at(core.clock.now()))
    assert actions(core, staff_id).count("staff.locked") == 1


@pytest.mark.committing
def test_a_second_factor_cannot_be_set_up_over_another_and_is_sealed_at_rest(core):
    staff_id, secret, _ = enrolled(core)
    with pytest.raises(LoginRefusedError):
        core.db.run(lambda s: login.begin_enrolment(s, staff_id))
    import sqlalchemy as sa

    with core.db.reading() as session:
        row = session.execute(sa.text("SELECT totp_secret, password_hash FROM staff_accounts")).one()
    assert secret not in row[0]
    assert row[0].startswith("v1.")
    assert row[1].startswith("$argon2id$")
    core.db.run(lambda s: service.reset_second_factor(s, staff_id, actor=ACTOR, reason="phone lost", now=core.clock.now()))
    assert core.db.run(lambda s: login.begin_enrolment(s, staff_id)) != secret


def test_a_password_is_checked_against_nobody_as_well():
    hashed = passwords.hash_password(PASSWORD)
    assert passwords.password_holds(hashed, PASSWORD)
    assert not passwords.password_holds(hashed, PASSWORD + "x")
    assert not passwords.password_holds(None, "a password that nobody has")
    assert not passwords.password_holds("not a hash", PASSWORD)


@pytest.mark.committing
def test_accounts_are_found_by_name_role_and_state(core):
    one = open_account(core)
    open_account(core, "zhou@example.com", ("service",), name="周子涵")
    with core.db.reading() as session:
        assert [row.id for row in queries.list_accounts(session, text="LIN@").items] == [one]
        assert len(queries.list_accounts(session, role="service").items) == 1
        assert queries.list_accounts(session, active=False).items == []
        assert queries.names(session, [one]) == {one: "林晓雯"}
        assert queries.names(session, []) == {}
        assert [row.id for row in queries.holders(session, "points:adjust")] == sorted(
            [row.id for row in queries.list_accounts(session).items], key=lambda key: queries.find(session, key).name
        )
