"""Phone numbers as providers write them."""

from __future__ import annotations

import phonenumbers


def e164(text: str, country: str = "86") -> str:
    """Return a number in E.164.

    Arguments:
        text: national, or international with or without its plus.
        country: calling code that a national number belongs to.

    Raises:
        ValueError: it is none.
    """
    for candidate in (text if text.startswith("+") else f"+{country}{text}", f"+{text.lstrip('+')}"):
        try:
            number = phonenumbers.parse(candidate)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    message = "no phone number"
    raise ValueError(message)
