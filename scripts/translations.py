#!/usr/bin/env python
"""Bring the catalogues of messages in line with the code: extract, merge, tell what is missing, compile.

``python scripts/translations.py`` writes ``messages.pot`` of both distributions, gives each ``messages.po`` the
messages of today, with nothing guessed, compiles what is translated, and ends with 1 if something is not. ``--check``
writes nothing, and ``--new LANGUAGE`` begins a language.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]

PACKAGES = {
    "Invenio-Files-REST": ROOT / "invenio_files_rest",
    "Invenio-Records-Files": ROOT / "invenio-records-files" / "invenio_records_files",
}
"""The packages that have messages, by the names of their distributions."""

METHODS = [("**/alembic/**", "ignore"), ("**.py", "python"), ("**/templates/**.html", "jinja2")]
"""What is read, and how."""

KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "lazy_gettext")),
    **dict.fromkeys(("ngettext", "lazy_ngettext"), (1, 2)),
}
"""The functions that mark a message, with the arguments that are texts."""

PLURALS = {
    "es": (3, "n == 1 ? 0 : n != 0 && n % 1000000 == 0 ? 1 : 2"),
    "fr": (3, "(n == 0 || n == 1) ? 0 : n != 0 && n % 1000000 == 0 ? 1 : 2"),
}
"""Plural forms of languages that the packages of Invenio have other ones of than Babel: Unicode's, of whole millions.

Flask-Babel chooses the form for all packages by the rule of the last one. By Babel's rule of two forms, the second
one is that of other numbers; so both have the same text.
"""

HEADER = "# Texts of {project} that people see, for translators."


@cache
def extract(project: str) -> Catalog:
    """Return the messages in the code of a package.

    :param project: Name of its distribution.
    """
    template = Catalog(project=project, header_comment=HEADER.format(project=project), fuzzy=False)
    found = extract_from_dir(
        PACKAGES[project],
        METHODS,
        keywords=KEYWORDS,
        comment_tags=("Translators:",),
        strip_comment_tags=True,
        directory_filter=lambda _folder: True,
    )
    for _file, _line, text, comments, context in found:
        template.add(text, auto_comments=comments, context=context)
    return template


def folder(project: str) -> Path:
    """Return where the catalogues of a package lie.

    :param project: Name of its distribution.
    """
    return PACKAGES[project] / "translations"


def languages(project: str) -> list[str]:
    """Return the languages that a package is translated to.

    :param project: Name of its distribution.
    """
    return sorted(path.parents[1].name for path in folder(project).glob("*/LC_MESSAGES/messages.po"))


def catalogue_path(project: str, language: str) -> Path:
    """Return the file of a translation.

    :param project: Name of the distribution.
    :param language: The language.
    """
    return folder(project) / language / "LC_MESSAGES" / "messages.po"


def read(path: Path, language: str | None = None) -> Catalog:
    """Read a catalogue.

    :param path: The file.
    :param language: The language that it is in.
    """
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def translation(project: str, language: str) -> Catalog:
    """Return a translation with the messages of today: those that are new are empty, those that are gone are left out.

    :param project: Name of the distribution.
    :param language: The language.
    """
    catalogue = read(catalogue_path(project, language), language)
    _set_plurals(catalogue)
    catalogue.update(extract(project), no_fuzzy_matching=True, update_header_comment=False)
    catalogue.obsolete.clear()
    catalogue.project, catalogue.version = project, "VERSION"
    return catalogue


def _set_plurals(catalogue: Catalog) -> None:
    if known := PLURALS.get(str(catalogue.locale)):
        # There is no public way but a header in a file.
        vars(catalogue).update(_num_plurals=known[0], _plural_expr=known[1])


def incomplete(catalogue: Catalog) -> Iterator[tuple[Message, str]]:
    """Find the messages that are not translated, or wrongly, each with what is wrong.

    :param catalogue: The translation.
    """
    for message in catalogue:
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        if not message.id:
            continue
        if message.fuzzy:
            yield message, "fuzzy"
        elif not all(texts):
            yield message, "not translated"
        elif message.pluralizable and len(texts) != catalogue.num_plurals:
            yield message, f"{len(texts)} plural forms, not {catalogue.num_plurals}"
        else:
            yield from ((message, str(error)) for error in message.check(catalogue))


def as_text(catalogue: Catalog) -> str:
    """Return a catalogue as its file has it: in order, without places in the code or dates, which change for nothing.

    :param catalogue: The catalogue.
    """
    file = io.BytesIO()
    write_po(file, catalogue, width=0, sort_output=True, no_location=True, ignore_obsolete=True)
    lines = file.getvalue().decode().replace(" VERSION\\n", "\\n").splitlines()
    changing = ('"POT-Creation-Date:', '"PO-Revision-Date:', '"Generated-By:', '"Language-Team:', '"Last-Translator:')
    return "\n".join(line for line in lines if not line.startswith((*changing, '"Report-Msgid-Bugs-To:'))) + "\n"


def compiled(catalogue: Catalog) -> bytes:
    """Return a translation as programs read it.

    :param catalogue: The translation.
    """
    file = io.BytesIO()
    read = read_po(io.StringIO(as_text(catalogue)), locale=catalogue.locale)
    _set_plurals(read)
    write_mo(file, read)
    return file.getvalue()


def is_compiled(path: Path, catalogue: Catalog) -> bool:
    """Tell whether programs read what translators wrote.

    :param path: The compiled file, whose header tells of the time and of Babel, which do not count.
    :param catalogue: The translation.
    """
    if not path.exists():
        return False
    with path.open("rb") as file:
        return _texts(read_mo(file)) == _texts(catalogue)


def _texts(catalogue: Catalog) -> set[tuple[tuple[str, ...], tuple[str, ...]]]:
    # A message that is new has no translation, and is not compiled.
    pairs = ((message.id, message.string) for message in catalogue if message.id and message.string)
    return {(_as_tuple(text), _as_tuple(translated)) for text, translated in pairs}


def _as_tuple(text: Any) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def files() -> Iterator[tuple[Path, bytes]]:
    """Return the files of the catalogues as they have to be; of those that are compiled, the ones that are not so."""
    for project in PACKAGES:
        yield folder(project) / "messages.pot", as_text(extract(project)).encode()
        for language in languages(project):
            catalogue, path = translation(project, language), catalogue_path(project, language)
            yield path, as_text(catalogue).encode()
            if not is_compiled(path.with_suffix(".mo"), catalogue):
                yield path.with_suffix(".mo"), compiled(catalogue)


def main() -> int:
    """Do it, and tell what is missing."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--new", metavar="LANGUAGE", help="begin a language, such as it or pt_BR")
    arguments = parser.parse_args()
    for project in PACKAGES if arguments.new else ():
        path = catalogue_path(project, arguments.new)
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = Catalog(arguments.new, project=project, header_comment=HEADER.format(project=project), fuzzy=False)
        _set_plurals(begun)
        path.write_text(as_text(begun), encoding="utf-8")
    failed = False
    for path, content in files():
        if not path.exists() or path.read_bytes() != content:
            if arguments.check:
                print(f"{path.relative_to(ROOT)}: not up to date")
                failed = True
            else:
                path.write_bytes(content)
    for project in PACKAGES:
        for language in languages(project):
            for message, wrong in incomplete(translation(project, language)):
                print(f"{catalogue_path(project, language).relative_to(ROOT)}: {wrong}: {message.id!r}")
                failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
