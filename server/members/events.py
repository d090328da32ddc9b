"""Topics this domain tells of."""

from __future__ import annotations

ENROLLED = "members.enrolled"
PHONE_BOUND = "members.phone_bound"
PROFILE_COMPLETED = "members.profile_completed"
MERGED = "members.merged"
DELETION_REQUESTED = "members.deletion_requested"
ERASED = "members.erased"
EMAIL_CODE_ASKED = "members.email_code_asked"
