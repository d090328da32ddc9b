"""Pure rules of members: phone numbers, birthdays, completeness, status, which record survives a merge."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import phonenumbers

from server.members.errors import BirthdayInvalidError, PhoneInvalidError

ACCESS_SECONDS = 2 * 60 * 60
REFRESH_SECONDS = 30 * 24 * 60 * 60

GENDERS = ("unknown", "male", "female")
CALENDARS = ("solar", "lunar")
STATUSES = ("active", "frozen", "deleting", "deleted", "merged")
LIVE_STATUSES = ("active", "frozen", "deleting")

# What staff may do; merged and deleted are ends.
STATUS_STEPS: dict[str, frozenset[str]] = {
    "active": frozenset({"frozen"}),
    "frozen": frozenset({"active"}),
    # Back only by taking the deletion back, on by the erasure itself: see ``deletion``.
    "deleting": frozenset(),
    "deleted": frozenset(),
    "merged": frozenset(),
}

PURPOSES = ("membership_terms", "marketing", "recommendations", "surveys")

DELETION_COOLING_DAYS = 7
DELETION_WORKING_DAYS = 15
_SATURDAY = 5

WECHAT_PREFIX = "wechat:"
WECHAT_UNION = "wechat_union"

_EARLIEST_YEAR = 1900
_MASKED_DIGITS = 4
_LUNAR_DAYS = 30
_MONTHS = 12
_LEAP_YEAR = 2000

# Everything but the picture makes a profile complete: 90 of 100.
COMPLETE_AT = 90
_WEIGHTS = {"nickname": 20, "phone": 20, "birthday": 20, "gender": 10, "city": 10, "interests": 10, "avatar": 10}


@dataclass(frozen=True, slots=True)
class Birthday:
    """A birthday in its own calendar; the year may stay private.

    Arguments:
        calendar: ``solar`` or ``lunar``.
        month: 1–12; a leap lunar month counts as the plain month of its number.
        day: of the month.
        year: of the same calendar, or None.
    """

    calendar: str
    month: int
    day: int
    year: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {"calendar": self.calendar, "month": self.month, "day": self.day, "year": self.year}


def checked_birthday(birthday: Birthday, today: date) -> Birthday:
    """Return the birthday when that day exists and is not in the future.

    Raises:
        BirthdayInvalidError: otherwise.
    """
    if birthday.calendar not in CALENDARS or not 1 <= birthday.month <= _MONTHS:
        raise BirthdayInvalidError(fields={"birthday": "calendar, month"})
    if birthday.year is not None and not _EARLIEST_YEAR <= birthday.year <= today.year:
        raise BirthdayInvalidError(fields={"birthday": "year"})
    if birthday.calendar == "lunar":
        if not 1 <= birthday.day <= _LUNAR_DAYS:
            raise BirthdayInvalidError(fields={"birthday": "day"})
        return birthday
    try:
        # Without a year, 29 February is a birthday: any leap year says so.
        born = date(birthday.year or _LEAP_YEAR, birthday.month, birthday.day)
    except ValueError as error:
        raise BirthdayInvalidError(fields={"birthday": "day"}) from error
    if birthday.year is not None and born > today:
        raise BirthdayInvalidError(fields={"birthday": "year"})
    return birthday


def normalised_phone(text: str) -> str:
    """Return a phone number in E.164; a number without country code is taken as Chinese.

    Raises:
        PhoneInvalidError: when no such number can exist.
    """
    try:
        number = phonenumbers.parse(text.strip(), "CN")
    except phonenumbers.NumberParseException as error:
        raise PhoneInvalidError(fields={"phone": "E.164"}) from error
    if not phonenumbers.is_valid_number(number):
        raise PhoneInvalidError(fields={"phone": "E.164"})
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def phone_tail(phone: str) -> str:
    """Return the four digits staff search by."""
    return phone[-_MASKED_DIGITS:]


def masked_phone(phone: str) -> str:
    """Return a phone number as it may be shown: ``138****5678``, with the country code where it is not China's."""
    national = phone.removeprefix("+86")
    return f"{national[:3]}****{national[-_MASKED_DIGITS:]}"


def network_of(address: str | None) -> str | None:
    """Return the network an address lies in (/24, /48): enough to recognise a session, too little to find a person."""
    if not address:
        return None
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    prefix = 24 if parsed.version == 4 else 48  # noqa: PLR2004 - the version of the protocol
    return str(ipaddress.ip_network(f"{parsed}/{prefix}", strict=False))


def deletion_dates(now: datetime, zone: ZoneInfo) -> tuple[datetime, date]:
    """Return when a deletion is carried out at the earliest, and the day by which it must be.

    A week to think it over; fifteen working days is what the law leaves for an answer. Every Monday to Friday counts as a
    working day, public holidays too, so the day named here is never later than the lawful one by more than a shifted weekend.

    Arguments:
        now: when the deletion was asked for.
        zone: the shop's.
    """
    day, left = now.astimezone(zone).date(), DELETION_WORKING_DAYS
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < _SATURDAY
    return now + timedelta(days=DELETION_COOLING_DAYS), day


def completeness(filled: dict[str, bool]) -> int:
    """Return the completeness of a profile, 0–100.

    Arguments:
        filled: which of ``nickname phone birthday gender city interests avatar`` are known.
    """
    return sum(weight for name, weight in _WEIGHTS.items() if filled.get(name, False))


@dataclass(frozen=True, slots=True)
class MergeCandidate:
    """One record of a pair that may be joined.

    Arguments:
        member_id: key.
        joined_at: when the record was made.
        status: present status.
        wechat_apps: appids it logs in from.
    """

    member_id: UUID
    joined_at: datetime
    status: str
    wechat_apps: frozenset[str]


def merge_is_automatic(one: MergeCandidate, other: MergeCandidate) -> bool:
    """Tell whether a phone number alone may join two records: never when both log in from the same WeChat app."""
    return not (one.wechat_apps & other.wechat_apps)


def survivor(one: MergeCandidate, other: MergeCandidate) -> tuple[UUID, UUID]:
    """Return ``(from, into)``: the older record survives; equal ages are settled by id."""
    if (one.joined_at, one.member_id) <= (other.joined_at, other.member_id):
        return other.member_id, one.member_id
    return one.member_id, other.member_id
