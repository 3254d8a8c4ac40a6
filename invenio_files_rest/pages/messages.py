"""What scripts of the pages say: their strings by name, translated by the server.

``{name}`` in a string is what the script puts there.
"""

from __future__ import annotations

from typing import Any

from ..messages import lazy_gettext as _

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
    "close": _("Close"),
    "cancel": _("Cancel"),
    "save": _("Save"),
    "undo": _("Undo"),
    # What is chosen in a list, and what is done with it.
    "chosen": _("Selected: {count}"),
    "deleted": _("{name} was deleted."),
    "deleted_many": _("Deleted: {count}"),
    "delete": _("Delete"),
    "delete_folders": _("Delete all that is in these folders?"),
    "delete_folders_text": _("Files in them: {count}. They can be restored from the deleted files."),
    "deleting": _("Deleted so far: {done} of {count}"),
    "stop": _("Stop"),
    "restored": _("{name} is there again."),
    "move": _("Move"),
    "move_title": _("Move to another folder"),
    "move_folder": _("Folder"),
    "move_help": _("A new one is made. Left empty: the top of the bucket. Slashes make folders in folders."),
    "moved": _("Moved: {count}"),
    "rename_title": _("Rename or move"),
    "rename_key": _("New name"),
    "rename_help": _("With its folders: slashes make folders."),
    "no_name": _("A name has at least one character, and no part between slashes is a dot or two alone."),
    "no_url": _("Browsers cannot ask for a file of this name. The REST API can, by its version."),
    "remove": _("Remove"),
    "remove_title": _("Remove this version for good?"),
    "remove_text": _("Nobody can restore it then, and its bytes do not count for the quota any more."),
    "removed": _("The version was removed."),
    "some_failed": _("{count} did not work. The first one, {name}: {message}"),
    # Tags.
    "tags_title": _("Tags"),
    "tag_key": _("Name"),
    "tag_value": _("Value"),
    "tag_add": _("Add a tag"),
    "tag_remove": _("Remove the tag {name}"),
    "tag_twice": _("There are two tags of the name {name}."),
    # Links for others.
    "link_made": _("Here is the link. It is shown this once: copy it now."),
    "link": _("Link"),
    "copy": _("Copy"),
    "copied": _("Copied."),
    "not_copied": _("The browser does not let the page copy: copy the selected text yourself."),
    "revoke": _("Revoke"),
    "revoke_link": _("Revoke the link to {name}"),
    "revoked": _("The link gives nothing any more."),
    "no_links": _("No link has been made."),
    "link_object": _("The file {name}"),
    "link_version": _("One version of {name}"),
    "link_prefix": _("All in {name}"),
    "link_upload": _("Uploads into {name}"),
    "link_whole": _("the bucket"),
    "expires": _("Expires"),
    "note": _("Note"),
    "leads_to": _("What it gives"),
    "more_links": _("Show more"),
}
"""The strings. They name no numbers of things, as languages differ in their plurals: "Selected: {count}"."""


def messages() -> dict[str, str]:
    """Return the strings in the language of the page."""
    return {name: str(text) for name, text in MESSAGES.items()}
