"""Topics this domain tells of: none. A refusal is answered to who asked, and staff find it in the list."""

from __future__ import annotations
