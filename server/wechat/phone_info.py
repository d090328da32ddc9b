"""Reads the phone number in WeChat's words for it, which are the same in both ways of getting one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import phonenumbers


def number_of(info: Mapping[str, Any]) -> str:
    """Return the number in E.164.

    Arguments:
        info: ``countryCode``, which comes as a number or as text, and ``purePhoneNumber``.

    Raises:
        ValueError: there is no number in it.
    """
    try:
        number = phonenumbers.parse(f"+{str(info['countryCode']).lstrip('+')}{info['purePhoneNumber']}")
    except (KeyError, phonenumbers.NumberParseException):
        message = "no phone number"
        raise ValueError(message) from None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
