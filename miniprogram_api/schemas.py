"""Shapes shared by every part of the HTTP API: strict inputs, pages, problems."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Item = TypeVar("Item")

Instant = Annotated[datetime, Field(description="RFC 3339 with offset")]
Fen = Annotated[int, Field(ge=0, le=10**12, description="whole fen")]
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


def _within_reach(value: datetime) -> datetime:
    """Refuse an instant that turned into UTC leaves the calendar, or that one of the databases cannot hold."""
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        message = f"a year from {_FIRST_YEAR} to {_LAST_YEAR}"
        raise ValueError(message)
    return value


AwareInstant = Annotated[AwareDatetime, AfterValidator(_within_reach)]


def _has_nul(data: Any) -> bool:
    """Tell whether a text, list or mapping holds the character NUL.

    The mappings of a list are left to their own models: one bad item of a batch must not refuse the others.
    """
    if isinstance(data, str):
        return "\0" in data
    if isinstance(data, list):
        return any(isinstance(each, str) and "\0" in each for each in data)
    if isinstance(data, dict):
        return any(_has_nul(key) or _has_nul(value) for key, value in data.items())
    return False


class Input(BaseModel):
    """What a client sends: unknown fields are refused, so that a misspelt one is never silently lost."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def without_nul(cls, data: Any) -> Any:
        """Refuse the character NUL in any text: PostgreSQL cannot store it, and nobody types it."""
        if _has_nul(data):
            message = "the character NUL is not allowed"
            raise ValueError(message)
        return data


class Output(BaseModel):
    """What we answer."""

    model_config = ConfigDict(from_attributes=True)


class PageQuery(BaseModel):
    """``?limit=&cursor=`` of every list."""

    model_config = ConfigDict(extra="ignore")

    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=200)


class PageOut(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = None


class FieldError(BaseModel):
    """One wrong field."""

    field: str
    message: str


class Problem(BaseModel):
    """A refusal or failure (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] | None = None


Document = dict[str, Any]
