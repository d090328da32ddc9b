"""Role by rule over the whole console, with addresses of things that are there.

What is opened, what is refused, what is shown and what the answers carry; and that looking changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from admin.readonly import ReadOnlyModelView
from server.staff.permissions import Permission, permissions_of
from tests.admin.test_walks import OPEN, needed, view_of
from tests.factories.world import OTHER, OWNER, changes, every_row
from tests.security.console import ROLE_CODES, Console, a_console, token_of
from tests.security.test_headers import wrong_with

if TYPE_CHECKING:
    from werkzeug.routing import Rule

pytestmark = [pytest.mark.committing, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

# Answered by no view of ours: files, the language switch, the bare address.
BARE = {"console_assets.static", "console_workbench.static", "console_assets.language", "console_assets.root"}
# What an address of something that is there answers to who may see it, where it is no page.
NO_PAGE = {
    "console_assets.root": {308, 302, 200},
    "console_assets.language": {302},
    "console_workbench.nothing": {404},
    "console_login.index": {200, 302},
    "console_login.code": {302},
    "console_login.enrol": {302},
    # Flask-Admin's own endpoints of a table that is only read lead back to it.
    "console_events.create_view": {302},
    "console_events.edit_view": {302},
    "console_events.export": {302},
    "console_events.ajax_lookup": {404},
    # The check that is there is of a text.
    "console_content.picture": {404},
}
# A look that writes: who signed in, what staff saw, when a session was last used.
TRACES = ("audit_entries", "staff_sessions")


def allowed(console: Console, rule: Rule, role: str) -> bool:
    """Tell whether a role may call a rule, as its view says."""
    if rule.endpoint in BARE:
        return True
    view, _ = view_of(console.app, rule)
    if view is not None and view.slug in OPEN:
        return True
    permission, everyone = needed(console.app, rule)
    return everyone or (permission is not None and str(permission) in permissions_of((role,)))


def test_every_rule_below_admin_belongs_to_a_view_or_is_named_here(core):
    console = a_console(core)
    console.browser("operations")  # whose session is one of the things that addresses name
    for rule in console.rules():
        view, _ = view_of(console.app, rule)
        assert (view is not None) or rule.endpoint in BARE, rule
        assert console.address(rule)
    assert len(console.rules()) > 100


@pytest.mark.parametrize("role", ROLE_CODES)
def test_a_role_reads_and_changes_what_its_permissions_name_and_nothing_else(core, role):
    console = a_console(core)
    client = console.browser(role)
    token = token_of(client)
    addresses = [(rule, console.address(rule)) for rule in console.rules()]
    before = every_row(core, without=TRACES)
    wrong, named = [], []
    for rule, address in addresses:
        may = allowed(console, rule, role)
        if "GET" in rule.methods:
            answer = client.get(address)
            text = answer.get_data().decode(errors="replace")
            expected = NO_PAGE.get(rule.endpoint, {200}) if may else {403}
            if answer.status_code not in expected:
                wrong.append(("GET", rule.rule, answer.status_code, expected))
            wrong += [("header", rule.rule, found) for found in wrong_with(address, answer, production=False)]
            # Nobody is shown a personal word in passing, and who may not read members not even a nickname.
            wrong += [("shown", rule.rule, what) for what in sorted(OWNER.found_in(text) | OTHER.found_in(text))]
            if OWNER.nickname in text:
                named.append(rule.rule)
        if "POST" in rule.methods and not may:
            got = client.post(address, data={"csrf_token": token, "reason": "because"}).status_code
            if got != 403:
                wrong.append(("POST beyond", rule.rule, got))
    # The words are there to be found.
    assert len(named) > 3 if str(Permission.MEMBERS_READ) in permissions_of((role,)) else named == []
    # Looking changes nothing, and neither does what is refused.
    assert wrong == []
    assert changes(before, every_row(core)) == {}
    # All this would hold as well if nobody were ever let through.
    for rule, address in addresses:
        view, name = view_of(console.app, rule)
        if "POST" not in rule.methods or isinstance(view, ReadOnlyModelView) or not allowed(console, rule, role):
            continue
        if view.slug == "login" or name in {"everywhere", "nothing"}:
            continue  # these end the session that the others are made in, or are no change
        got = client.post(address, data={"csrf_token": token}).status_code
        if got not in {200, 302, 409, 422}:
            wrong.append(("POST within", rule.rule, got))
    assert wrong == []


def test_no_change_is_made_without_a_token_of_this_very_browser(core):
    console = a_console(core)
    client, stranger = console.browser("operations"), console.browser("security")
    token, foreign = token_of(client), token_of(stranger)
    addresses = [(rule, console.address(rule)) for rule in console.rules() if "POST" in rule.methods]
    before = every_row(core, without=TRACES)
    wrong = []
    for rule, address in addresses:
        view, _ = view_of(console.app, rule)
        refused = 403 if isinstance(view, ReadOnlyModelView) else 400
        tries = ({}, {"csrf_token": foreign, "reason": "because"}, {"csrf_token": token[:-1], "reason": "because"})
        wrong += [(rule.rule, data, got) for data in tries if (got := client.post(address, data=data).status_code) != refused]
    assert wrong == []
    assert changes(before, every_row(core)) == {}


def test_nothing_but_get_and_post_is_answered(core):
    console = a_console(core)
    assert {method for rule in console.rules() for method in rule.methods} <= {"GET", "HEAD", "OPTIONS", "POST"}
