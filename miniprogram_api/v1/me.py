"""The member's own page: home, profile, phone, picture, consents."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field, RootModel, StringConstraints, model_validator

from miniprogram_api.auth import even_when, member_required
from miniprogram_api.context import actor, core, member_id, now
from miniprogram_api.faces import DESCRIPTION, face_of
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.openapi import documented
from miniprogram_api.schemas import Input, Output
from miniprogram_api.screening import screen
from miniprogram_api.v1.uploads import address_of
from server.flows import home as home_flow
from server.flows import screening as screening_flow
from server.flows.merge import bind_phone
from server.members import deletion, deletion_queries, queries, service
from server.members.errors import NoDeletionError
from server.members.rules import Birthday, normalised_phone
from server.screening import queries as screening
from server.screening.rules import PASSED, Subject
from server.wechat import open_data, session_keys
from server.wechat.errors import OpenDataInvalidError
from server.wechat.gateway import ContentScene
from server.wechat.phone_info import number_of

bp = APIBlueprint("v1_me", __name__, url_prefix="/api/v1/me", tag="Member")

Calendar = Literal["solar", "lunar"]
Gender = Literal["unknown", "male", "female"]
Interest = Annotated[str, StringConstraints(min_length=1, max_length=20)]


class HomeMember(Output):
    """Who the member is."""

    id: UUID
    status: str
    nickname: str | None
    avatar_url: str | None
    phone_masked: str | None
    phone_bound: bool
    completeness: int = Field(description="0–100")
    joined_at: datetime


class HomeCard(Output):
    """The member's card."""

    card_no: str | None


class HomeTier(Output):
    """The member's tier."""

    code: str
    name: str
    face: dict[str, str] = Field(description=DESCRIPTION)


class HomePoints(Output):
    """The member's points."""

    available: int
    pending: int
    expiring_soon: int = Field(description="within 30 days")


class HomeCoupons(Output):
    """The member's coupons."""

    available: int


class HomeTodo(Output):
    """Something the member may want to do."""

    kind: str
    count: int


class HomeOut(Output):
    """The home page."""

    member: HomeMember
    card: HomeCard
    tier: HomeTier
    points: HomePoints
    coupons: HomeCoupons
    unread: int
    todo: list[HomeTodo]


class BirthdayModel(Input):
    """A birthday in its own calendar; the year may stay private."""

    calendar: Calendar
    month: int = Field(ge=1, le=12)
    day: int = Field(ge=1, le=31)
    year: int | None = Field(default=None, ge=1900, le=2200)


class ProfileIn(Input):
    """Fields to change; what is left out stays as it is, null empties."""

    nickname: str | None = Field(default=None, min_length=1, max_length=32)
    gender: Gender = "unknown"
    birthday: BirthdayModel | None = None
    city: str | None = Field(default=None, max_length=40)
    interests: list[Interest] = Field(default_factory=list, max_length=20)


class ChangeRequestOut(Output):
    """A change that staff decide."""

    id: UUID
    kind: str
    state: str
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str | None
    requested_at: datetime
    decided_at: datetime | None


class ProfileOut(Output):
    """The profile."""

    nickname: str | None
    gender: Gender
    birthday: BirthdayModel | None
    city: str | None
    interests: list[str]
    avatar_url: str | None
    phone_masked: str | None
    completeness: int
    completed: bool
    nickname_pending: str | None = Field(default=None, description="a new nickname that waits for the content review")
    change_request: ChangeRequestOut | None = None


class PhoneIn(Input):
    """What ``getPhoneNumber`` gave: a code, or in older versions of WeChat the number itself, encrypted."""

    code: str | None = Field(default=None, min_length=1, max_length=256)
    encrypted_data: str | None = Field(default=None, min_length=1, max_length=8192, description="base64, with `iv`, instead of `code`")
    iv: str | None = Field(default=None, min_length=1, max_length=64, description="base64")

    @model_validator(mode="after")
    def one_of_both(self) -> PhoneIn:
        """Refuse what is neither, half or both."""
        if (self.code is None) == (self.encrypted_data is None) or (self.encrypted_data is None) != (self.iv is None):
            problem = "either code, or encrypted_data and iv"
            raise ValueError(problem)
        return self


class PhoneMergeOut(Output):
    """Two records of this person became one."""

    into: UUID
    merged: UUID


class PhoneOut(Output):
    """The number that is bound now."""

    phone_masked: str
    merge: PhoneMergeOut | None = None


class ConsentIn(Input):
    """One declaration."""

    purpose: str = Field(min_length=1, max_length=32)
    policy_version: str = Field(min_length=1, max_length=32)
    granted: bool


class ConsentsIn(RootModel[list[ConsentIn]]):
    """Declarations, one for each purpose."""

    root: list[ConsentIn] = Field(min_length=1, max_length=20)


class ConsentOut(Output):
    """What counts now for one purpose."""

    purpose: str
    policy_version: str
    granted: bool
    source: str
    occurred_at: datetime


class ConsentsOut(RootModel[list[ConsentOut]]):
    """What counts now, one for each purpose the member declared on."""


class DeletionOut(Output):
    """A membership that waits for its deletion."""

    state: str = Field(description="waiting, or cancelled")
    requested_at: datetime
    due_at: datetime = Field(description="until when it can be taken back, and from when it is carried out")
    deadline_on: date = Field(description="the day by which it is carried out")


def _avatar_url(upload_id: UUID | None) -> str | None:
    if upload_id is None:
        return None
    return address_of(upload_id)


def _profile(view: queries.MemberView, request: queries.ChangeRequestView | None, nickname_pending: str | None) -> ProfileOut:
    return ProfileOut(
        nickname_pending=nickname_pending,
        nickname=view.nickname,
        gender=view.gender,  # type: ignore[arg-type]  # a CHECK holds the column to these words
        birthday=BirthdayModel.model_validate(view.birthday.as_dict()) if view.birthday else None,
        city=view.city,
        interests=view.interests,
        avatar_url=_avatar_url(view.avatar_upload_id),
        phone_masked=view.phone_masked,
        completeness=view.completeness,
        completed=view.profile_completed_at is not None,
        change_request=ChangeRequestOut.model_validate(request) if request else None,
    )


@bp.get("")
@member_required
@bp.output(HomeOut)
def home() -> Response:
    """Return the home page in one call."""
    with core().db.autocommit() as session:
        page = home_flow.of_member(session, member_id(), now=now())
    return json_response(home_body(page, address_of))


def home_body(page: home_flow.Home, address: Callable[[UUID], str]) -> dict[str, Any]:
    """Return the body of the home page; ``miniprogram_api.hot`` answers with it as well.

    Arguments:
        page: what it shows.
        address: gives the signed path of an upload.
    """
    # Straight to bytes: this is the hottest answer, and building the models only to take them apart again doubled its cost. That
    # it is what ``HomeOut`` promises is held by a test.
    return {
        "member": {
            "id": page.member_id,
            "status": page.status,
            "nickname": page.nickname,
            "avatar_url": None if page.avatar_upload_id is None else address(page.avatar_upload_id),
            "phone_masked": page.phone_masked,
            "phone_bound": page.phone_masked is not None,
            "completeness": page.completeness,
            "joined_at": page.joined_at,
        },
        "card": {"card_no": page.card_no},
        "tier": {"code": page.tier_code, "name": page.tier_name, "face": face_of(page.tier_face, address)},
        "points": {"available": page.points_available, "pending": page.points_pending, "expiring_soon": page.points_expiring_soon},
        "coupons": {"available": page.coupons_available},
        "unread": page.unread,
        "todo": page.todo,
    }


@bp.get("/profile")
@member_required
@bp.output(ProfileOut)
def profile() -> Response:
    """Return the profile, with the latest change that staff decide."""
    with core().db.reading() as session:
        view = queries.require(session, member_id())
        requests = queries.change_requests_of(session, member_id())
        pending = screening.pending_text(session, Subject.NICKNAME, member_id())
    return json_response(_profile(view, requests[0] if requests else None, pending))


@bp.patch("/profile")
@member_required
@bp.input(ProfileIn, arg_name="body")
@bp.output(ProfileOut)
@documented(also={202: "Changed, except for what waits for staff: see `change_request` and `nickname_pending`"})
def update_profile(body: ProfileIn) -> Response:
    """Change the profile; 202 when a part of it waits for staff: a birthday the second time, a nickname that is to be looked at."""
    sent = body.model_fields_set
    values: dict[str, Any] = {name: getattr(body, name) for name in ("nickname", "gender", "city", "interests") if name in sent}
    if body.birthday is not None:
        given = body.birthday
        values["birthday"] = Birthday(given.calendar, given.month, given.day, given.year)
    change = service.ProfileChange(**values)
    nickname = screen(body.nickname, ContentScene.PROFILE) if "nickname" in sent and body.nickname else PASSED

    def work(session: Any) -> tuple[int, ProfileOut]:
        done = screening_flow.submit_profile(session, member_id(), change, nickname=nickname, actor=actor(), now=now())
        request, pending = done.outcome.change_request, done.nickname_pending
        return (202 if request or pending else 200), _profile(done.outcome.profile, request, pending)

    return run_command(work, key_required=False)


@bp.post("/phone")
@member_required
@bp.input(PhoneIn, arg_name="body")
@bp.output(PhoneOut)
def phone(body: PhoneIn) -> Response:
    """Bind the phone number WeChat vouches for; a record of the till's with this number becomes the member's own.

    Either ``code``, or from older versions of WeChat ``encrypted_data`` and ``iv``: those are opened with the key of the latest log-in,
    which is kept for a day, and may be five minutes old.
    """
    number = normalised_phone(core().wechat.phone_number(body.code) if body.code is not None else _opened_phone(body))

    def work(session: Any) -> tuple[int, PhoneOut]:
        bound = bind_phone(session, member_id(), number, actor=actor(), now=now())
        merged = PhoneMergeOut(into=bound.merge.into_id, merged=bound.merge.from_id) if bound.merge else None
        return 200, PhoneOut(phone_masked=bound.phone_masked, merge=merged)

    return run_command(work, key_required=False)


def _opened_phone(body: PhoneIn) -> str:
    appid, at = core().settings.wechat_appid, now()
    with core().db.reading() as session:
        openid = queries.openid_of(session, member_id(), appid)
        key = session_keys.find(session, openid, now=at) if openid else None
    if key is None:
        raise OpenDataInvalidError
    info = open_data.decrypt(body.encrypted_data or "", body.iv or "", key, appid=appid, now=at)
    try:
        return number_of(info)
    except ValueError:
        raise OpenDataInvalidError from None


@bp.get("/consents")
@member_required
@bp.output(ConsentsOut)
def consents() -> Response:
    """Return what the member agreed to."""
    with core().db.reading() as session:
        found = queries.consents_of(session, member_id())
    return json_response(ConsentsOut([ConsentOut.model_validate(view) for view in found]))


@bp.put("/consents")
@member_required
@bp.input(ConsentsIn, arg_name="body")
@bp.output(ConsentsOut)
def declare_consents(body: ConsentsIn) -> Response:
    """Declare consent or withdraw it, by purpose; every declaration is kept."""
    choices = [service.ConsentChoice(item.purpose, item.policy_version, item.granted) for item in body.root]

    def work(session: Any) -> tuple[int, ConsentsOut]:
        views = service.declare_consents(session, member_id(), choices, source="mini_program", actor=actor(), now=now())
        return 200, ConsentsOut([ConsentOut.model_validate(view) for view in views])

    return run_command(work, key_required=False)


@bp.get("/deletion")
@member_required
@bp.output(DeletionOut)
def deletion_state() -> Response:
    """Return the deletion that waits; 404 when none does."""
    with core().db.reading() as session:
        found = deletion_queries.find_open(session, member_id())
    if found is None:
        raise NoDeletionError
    return json_response(DeletionOut.model_validate(found))


@bp.post("/deletion")
@member_required
@even_when("deleting")
@bp.output(DeletionOut, status_code=201)
@documented(also={200: "Asked for before; the first wish stands"})
def request_deletion() -> Response:
    """Ask for this membership to be deleted. It can be taken back for a week; then all personal data is erased."""

    def work(session: Any) -> tuple[int, DeletionOut]:
        found, new = deletion.request_deletion(session, member_id(), reason=None, actor=actor(), now=now())
        return (201 if new else 200), DeletionOut.model_validate(found)

    return run_command(work, key_required=False)


@bp.delete("/deletion")
@member_required
@even_when("deleting")
@bp.output(DeletionOut)
def cancel_deletion() -> Response:
    """Take the deletion back; everything is as it was."""

    def work(session: Any) -> tuple[int, DeletionOut]:
        return 200, DeletionOut.model_validate(deletion.cancel_deletion(session, member_id(), reason=None, actor=actor(), now=now()))

    return run_command(work, key_required=False)
