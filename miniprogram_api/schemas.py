"""Shapes shared by every part of the HTTP API: strict inputs, pages, problems."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Item = TypeVar("Item")

Instant = Annotated[datetime, Field(description="RFC 3339 with offset")]
Fen = Annotated[int, Field(ge=0, le=10**12, description="whole fen")]
AwareInstant = AwareDatetime


class Input(BaseModel):
    """What a client sends: unknown fields are refused, so that a misspelt one is never silently lost."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


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
