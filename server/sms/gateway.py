"""What every provider of text messages comes down to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

# One text of 70 characters, or parts of 67 when it is longer: what the networks carry of Chinese.
_ONE_PART, _PART = 70, 67


@dataclass(frozen=True, slots=True)
class SmsText:
    """One text message to one phone.

    Arguments:
        phone: in E.164.
        template_id: the provider's number of the template.
        params: name → value, in the order of the template's places; a provider may use the names or the order.
        reference: ours, at most 64 characters; comes back in the provider's report where it offers that.
        preview: the whole text as the phone will show it, by which stand-ins and the count of parts go.
    """

    phone: str
    template_id: str
    params: Mapping[str, str]
    reference: str
    preview: str = ""


@dataclass(frozen=True, slots=True)
class SentSms:
    """A text message the provider took in.

    Arguments:
        provider: its name.
        message_id: its number of the message, found again in its report.
        segments: how many parts it is charged as.
    """

    provider: str
    message_id: str
    segments: int


@dataclass(frozen=True, slots=True)
class SmsReport:
    """What a provider says about the delivery of a message.

    Arguments:
        message_id: the provider's number of it.
        phone: where it went, in E.164: one number of a provider's may stand for several phones.
        error_code: ``0`` when it arrived, otherwise the network's word.
        occurred_at: when, aware.
        segments: how many parts were charged, where it says so.
    """

    message_id: str
    phone: str
    error_code: str
    occurred_at: datetime
    segments: int | None = None


@dataclass(frozen=True, slots=True)
class SmsReply:
    """What a person wrote back.

    Arguments:
        phone: whose, in E.164.
        text: as it came.
        occurred_at: when, aware.
    """

    phone: str
    text: str
    occurred_at: datetime


class SmsProvider(Protocol):
    """Sends text messages. No call may be made inside a transaction, since each waits for the network."""

    @property
    def name(self) -> str:
        """Return the provider's name as it stands in settings and lists."""
        ...

    def send(self, text: SmsText) -> SentSms:
        """Send one message with one call.

        Raises:
            SmsUnavailableError: no answer, or busy; it says whether the message may be on its way.
            SmsRejectedError: refused for this person or these words.
            SmsMisconfiguredError: our account, signature or template there is not in order.
        """
        ...


def segments_of(text: str) -> int:
    """Return how many parts a text is charged as, its signature included."""
    length = len(text.encode("utf-16-be")) // 2
    return 1 if length <= _ONE_PART else -(-length // _PART)
