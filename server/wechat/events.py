"""Topics this domain tells of; each payload names the push (``push_id``), whose content stays sealed.

``MEDIA_CHECKED`` also carries ``trace_id``, ``suggest`` and ``label``, ``TRADE_EVENT`` the ``event``.
"""

from __future__ import annotations

MEDIA_CHECKED = "wechat.media_checked"
TRADE_EVENT = "wechat.trade_event"
DATA_WITHDRAWN = "wechat.data_withdrawn"
