"""Pure rules of cards: the form of numbers and codes."""

from __future__ import annotations

import unicodedata

from server.kernel.ids import luhn_digit, luhn_holds, random_digits

CARD_DIGITS = 12
CODE_DIGITS = 18
# Outside the ranges of payment codes (10–15 WeChat Pay, 25–30 Alipay), so that no till takes one for money.
CODE_PREFIX = "66"
CODE_SECONDS = 60
LEGACY_CHARS = 32


def new_card_no() -> str:
    """Return a card number: eleven random digits, the first not zero, and a check digit."""
    body = random_digits(CARD_DIGITS - 1)
    body = ("1" if body[0] == "0" else body[0]) + body[1:]
    return body + luhn_digit(body)


def new_code() -> str:
    """Return a dynamic member code: prefix, fifteen random digits, check digit."""
    body = CODE_PREFIX + random_digits(CODE_DIGITS - len(CODE_PREFIX) - 1)
    return body + luhn_digit(body)


def normalised_card_no(text: str) -> str:
    """Return a card number as it is kept and looked up: narrow characters, no blanks, capitals.

    Cards of older systems carry letters; who types them, or scans them with another keyboard, means the same card.
    """
    return "".join(unicodedata.normalize("NFKC", text).split()).upper()


def is_card_no(text: str) -> bool:
    """Tell whether a text has the form of a card number of ours."""
    return len(text) == CARD_DIGITS and text.isascii() and text.isdigit() and text[0] != "0" and luhn_holds(text)


def is_code(text: str) -> bool:
    """Tell whether a text has the form of a dynamic member code."""
    return len(text) == CODE_DIGITS and text.startswith(CODE_PREFIX) and luhn_holds(text)
