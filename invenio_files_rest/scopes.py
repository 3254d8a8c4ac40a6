"""The scopes of OAuth tokens, for Invenio-OAuth2Server, which offers them to whoever makes a token."""

from __future__ import annotations

from invenio_i18n import lazy_gettext
from invenio_oauth2server.models import Scope

from .http.scopes import READ, WRITE

files_read = Scope(READ, group="files", help_text=lazy_gettext("List buckets and get files, where you may."))
"""Scope of a token that may read."""

files_write = Scope(
    WRITE, group="files", help_text=lazy_gettext("Create buckets, store files and delete them, where you may.")
)
"""Scope of a token that may write."""
