"""Topics this domain tells of: none so far. A card follows from ``members.enrolled``."""

from __future__ import annotations
