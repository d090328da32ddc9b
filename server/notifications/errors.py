"""What this domain refuses."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


class MessageNotFoundError(NotFoundError):
    """There is no such message, or it is another member's."""

    code = "message_not_found"
    message = "There is no such message."


class MessageNotUncertainError(ConflictError):
    """Only a message whose outcome is unknown can be decided by a person."""

    code = "message_not_uncertain"
    message = "The outcome of this message is already known."


class TemplateUnknownError(NotFoundError):
    """There is no message template of this code."""

    code = "message_template_not_found"
    message = "There is no such message template."


class TemplateFieldsError(InvalidError):
    """The fields of WeChat's template do not fit those of the message."""

    code = "message_template_fields"
    message = "The fields of the WeChat template do not fit this message."


class TemplateIdTakenError(ConflictError):
    """Another message already uses this WeChat template."""

    code = "message_template_taken"
    message = "Another message already uses this WeChat template."


class PreferenceRequiredError(InvalidError):
    """This channel of this topic cannot be switched off."""

    code = "preference_required"
    message = "These messages cannot be switched off."


class PreferenceUnknownError(InvalidError):
    """There is no such topic or channel."""

    code = "preference_unknown"
    message = "There is no such topic or channel."


class GrantShortError(ConflictError):
    """The allowance ledger would fall below zero."""

    code = "grant_short"
    message = "There is no allowance left for this message."


class ChannelsInvalidError(InvalidError):
    """A channel comes twice, or is none that messages are sent over."""

    code = "message_channels"
    message = "Each channel can stand once in the order."


class UnsubscribeLinkError(NotFoundError):
    """The link was not made by us."""

    code = "unsubscribe_link"
    message = "This link is not valid."
