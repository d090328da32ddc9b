"""Content checks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol


class Suggestion(StrEnum):
    """What the content check says should happen."""

    PASS = "pass"  # noqa: S105 - WeChat's own word
    REVIEW = "review"
    RISKY = "risky"


class ContentScene(IntEnum):
    """Where a text will be seen."""

    PROFILE = 1
    COMMENT = 2
    FORUM = 3
    SOCIAL_LOG = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """The content check's answer.

    Arguments:
        suggestion: pass, review or risky.
        label: WeChat's reason (100 is normal, 20001 politics, 20002 pornography, 20006 crime…).
        trace_id: for WeChat's support.
    """

    suggestion: Suggestion = Suggestion.PASS
    label: int = 100
    trace_id: str | None = None

    @property
    def passed(self) -> bool:
        """Tell whether the text may be shown."""
        return self.suggestion is Suggestion.PASS


class ContentGateway(Protocol):
    """Whether what members wrote may be shown to others."""

    def check_text(self, openid: str, content: str, scene: ContentScene | int = ContentScene.COMMENT) -> Verdict:
        """Ask whether a text may be shown to others; the person must have been active within two hours.

        Arguments:
            openid: who wrote it.
            content: at most 2,500 characters.
            scene: where it will be seen.

        Raises:
            WeChatRejectedError: the check cannot be done for this person now.
        """
        ...

    def check_image(self, openid: str, url: str, scene: ContentScene | int = ContentScene.COMMENT) -> str:
        """Have WeChat look at a picture; its answer comes later, as the push ``wxa_media_check`` with the same number.

        Asking twice about one picture is harmless: it gives two numbers and two answers.

        Arguments:
            openid: who showed it, active within two hours.
            url: where WeChat can fetch it for the next minutes; at most 10 MB.
            scene: where it will be seen.

        Returns:
            WeChat's number of this check (``trace_id``).

        Raises:
            WeChatRejectedError: the check cannot be done for this person or picture.
        """
        ...
