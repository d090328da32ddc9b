"""Topics this domain tells of: none."""

from __future__ import annotations
