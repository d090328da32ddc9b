"""Topics this domain tells of: none. A reward is told as ``points.accrued``, which is what both sides are notified of."""

from __future__ import annotations
