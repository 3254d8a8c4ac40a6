"""Names of entries as keys of objects."""

from __future__ import annotations

from ...errors import InvalidArchiveError
from ...messages import lazy_gettext as _


def key_of(name: str) -> str:
    """Return the path of an entry without segments that say nothing: ``./a//b`` is ``a/b``.

    :param name: Name of the entry.
    :raises InvalidArchiveError: If it would lead out of the folder in which the archive is unpacked.
    """
    if name.startswith("/") or (len(name) > 2 and name[1:3] in (":/", ":\\") and name[0].isalpha()):
        raise refused(name, _("the name is absolute"))
    segments = [segment for segment in name.split("/") if segment not in ("", ".")]
    if ".." in segments or "..\\" in name or "\\.." in name:
        raise refused(name, _("the name has a segment '..'"))
    if not segments:
        raise refused(name, _("the name has no segments"))
    return "/".join(segments)


def refused(name: str, why: str) -> InvalidArchiveError:
    """Return the error that an entry is refused with.

    :param name: Name of the entry.
    :param why: What is wrong with it.
    """
    return InvalidArchiveError(description=_("%(name)r: %(why)s.", name=name, why=why))
