"""What WeChat tells when a person withdraws data from the mini-program, changes it, or closes the account. Pure.

Events and codes are those of WeChat's security guide, "changes of authorised user information".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from server.kernel.text import N_

MODIFIED = "user_info_modified"
REVOKED = "user_authorization_revoke"
CANCELLED = "user_authorization_cancellation"
EVENTS: dict[str, str] = {
    MODIFIED: N_("WeChat cleaned the profile"),
    REVOKED: N_("Data withdrawn in WeChat"),
    CANCELLED: N_("WeChat account closed"),
}

# ``RevokeInfo`` of a revocation.
CODES: dict[str, str] = {
    "1": N_("Licence plate"),
    "2": N_("Address"),
    "3": N_("Invoice details"),
    "4": N_("Bluetooth"),
    "5": N_("Microphone"),
    "6": N_("Nickname and avatar"),
    "7": N_("Camera"),
    "8": N_("Phone number"),
    "12": N_("Step count"),
    "13": N_("Location"),
    "14": N_("Chosen pictures and videos"),
    "15": N_("Chosen files"),
    "16": N_("E-mail address"),
    "18": N_("Chosen location"),
    "19": N_("Nickname from the keyboard"),
    "20": N_("Avatar from the picker"),
}
_CODE = re.compile(r"[0-9]{1,4}")
_MOST = 32


def codes_of(content: Mapping[str, Any]) -> list[str]:
    """Return the codes a revocation names, known or not; there may be several in one text."""
    return _CODE.findall(str(content.get("RevokeInfo") or ""))[:_MOST]
