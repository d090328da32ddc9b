"""The verbs of risk control. Callers own the transaction; who wants to know whether something may go through calls ``asking.ask``."""

from server.risk.asking import Refusal, ask, ask_held, note_refused, record_try
from server.risk.blocking import Target, add_entry, end_entry, resolve_entries
from server.risk.care import change_rules, forget_member, forget_old, hold_member, merge_members
from server.risk.marks import note_address, note_device, note_phone
from server.risk.releasing import release, release_member

__all__ = [
    "Refusal",
    "Target",
    "add_entry",
    "ask",
    "ask_held",
    "change_rules",
    "end_entry",
    "forget_member",
    "forget_old",
    "hold_member",
    "merge_members",
    "note_address",
    "note_device",
    "note_phone",
    "note_refused",
    "record_try",
    "release",
    "release_member",
    "resolve_entries",
]
