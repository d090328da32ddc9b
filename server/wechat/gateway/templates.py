"""The templates of subscribe messages that the account has, and those it may choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AccountTemplate:
    """A template in the account.

    Arguments:
        template_id: as messages name it.
        title: as the member sees it.
        fields: field → its label, in the template's order.
        one_time: False for a long-term template.
    """

    template_id: str
    title: str
    fields: Mapping[str, str]
    one_time: bool = True


@dataclass(frozen=True, slots=True)
class Category:
    """What the mini-program is registered for; it decides which templates there are to choose from."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Keyword:
    """A field that a public template offers.

    Arguments:
        kid: its number.
        name: its label.
        example: a value.
        rule: the type, as in ``thing``.
    """

    kid: int
    name: str
    example: str
    rule: str


class TemplateGateway(Protocol):
    """Reads of the account's templates."""

    def account_templates(self) -> list[AccountTemplate]:
        """Return the templates in the account."""
        ...

    def categories(self) -> list[Category]:
        """Return what the mini-program is registered for."""
        ...

    def keywords(self, tid: str) -> list[Keyword]:
        """Return the fields a public template offers.

        Arguments:
            tid: the public template's number.

        Raises:
            WeChatRejectedError: there is no such template.
        """
        ...
