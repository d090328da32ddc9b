"""The look of a tier's card as a phone draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from miniprogram_api.v1.uploads import address_of

DESCRIPTION = "look of the card: colours start, end, text; with a picture also picture_url, signed for a while"


def face_of(document: Mapping[str, str], address: Callable[[UUID], str] = address_of) -> dict[str, str]:
    """Return a face with the signed address of its picture in place of the picture's id."""
    picture = document.get("picture")
    if not picture:
        return dict(document)
    return {**{name: value for name, value in document.items() if name != "picture"}, "picture_url": address(UUID(picture))}
