"""What scripts of the pages say: their strings by name, translated by the server.

``{name}`` in a string is what the script puts there.
"""

from __future__ import annotations

from typing import Any

from invenio_i18n import lazy_gettext as _

MESSAGES: dict[str, Any] = {
    # Whatever a request is refused for.
    "away": _("The server cannot be reached. Nothing is lost: try again when the connection is back."),
    "session": _("You are not logged in any more. Log in, and try again: nothing on this page is lost."),
    "log_in": _("Log in"),
    "refused": _("You may not do this."),
    "gone": _("It is not there any more: somebody has removed it, or you may not see it any more."),
    "changed": _("Somebody has changed it meanwhile. See what is there now, and try again."),
    "exists": _("There is a file of this name already. Choose another name."),
    "busy": _("The server is busy. Try again in a moment."),
    "full": _("There is no room left for this."),
    "failed": _("It did not work ({status}). Try again, or tell whoever runs this service."),
}
"""The strings. They name no numbers of things, as languages differ in their plurals: "Selected: {count}"."""


def messages() -> dict[str, str]:
    """Return the strings in the language of the page."""
    return {name: str(text) for name, text in MESSAGES.items()}
