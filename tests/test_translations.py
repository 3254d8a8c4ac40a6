"""The texts that people see can be translated."""

from __future__ import annotations

from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from invenio_i18n.babel import MultidirDomain

import invenio_files_rest

PACKAGE = Path(invenio_files_rest.__file__).parent


def test_translations_are_found_by_their_entry_point():
    found = []

    class Domain(MultidirDomain):
        def add_path(self, path: str) -> None:
            found.append(path)

    Domain(entry_point_group="invenio_i18n.translations")
    assert str(PACKAGE / "translations") in found


def test_the_template_has_every_text_and_no_other():
    """Made by ``pybabel extract --no-location --sort-output -k lazy_gettext``."""
    keywords = {"_": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}
    templates = "pages/templates/**.html", "admin/templates/**/base.html"
    methods = [("**.py", "python"), *((path, "jinja2") for path in templates)]
    used = {text for _, _, text, _, _ in extract_from_dir(PACKAGE, methods, keywords=keywords)}
    with (PACKAGE / "translations" / "messages.pot").open("rb") as file:
        offered = {message.id for message in read_po(file) if message.id}
    assert len(used) > 5
    assert offered == used
