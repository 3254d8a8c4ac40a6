"""The catalogues have what the code says, each language has all of it, and what programs read is what people wrote."""

from __future__ import annotations

import re
from pathlib import Path

import invenio_accounts
import pytest
import translations
from babel.messages.mofile import read_mo
from invenio_i18n.babel import MultidirDomain
from werkzeug.exceptions import default_exceptions

import invenio_files_rest
from invenio_files_rest.http import foreign_texts
from invenio_files_rest.messages import Message

LANGUAGES = ["de", "es", "fr"]

BRACES = re.compile(r"\{\w+\}")
TEAPOT = 418


def test_translations_are_found_by_their_entry_point():
    found = []

    class Domain(MultidirDomain):
        def add_path(self, path: str) -> None:
            found.append(path)

    Domain(entry_point_group="invenio_i18n.translations")
    assert str(Path(invenio_files_rest.__file__).parent / "translations") in found


@pytest.mark.parametrize("project", translations.PACKAGES)
def test_every_text_of_the_code_is_in_the_catalogues_and_no_other(project: str):
    """``python scripts/translations.py`` brings them in line."""
    assert translations.languages(project) == LANGUAGES
    assert len(translations.extract(project)) > 2
    own = translations.folder(project)
    files = ((path, content) for path, content in translations.files() if path.is_relative_to(own))
    wrong = [path for path, content in files if not path.exists() or path.read_bytes() != content]
    assert not wrong


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("project", translations.PACKAGES)
def test_each_language_has_every_text_with_the_same_placeholders(project: str, language: str):
    catalogue = translations.translation(project, language)
    assert [(message.id, wrong) for message, wrong in translations.incomplete(catalogue)] == []
    for message in catalogue:
        given = message.id if isinstance(message.id, tuple) else (message.id,)
        told = message.string if isinstance(message.string, tuple) else (message.string,)
        for text in told if given[0] else ():
            assert set(BRACES.findall(text)) == set(BRACES.findall(given[-1])), text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("project", translations.PACKAGES)
def test_what_programs_read_is_what_translators_wrote(project: str, language: str):
    written = translations.translation(project, language)
    assert translations.is_compiled(translations.catalogue_path(project, language).with_suffix(".mo"), written)


@pytest.mark.parametrize("language", LANGUAGES)
def test_plural_forms_are_those_that_the_packages_of_invenio_have(language: str):
    """One rule chooses the forms of all of them: that of the catalogue that was loaded last."""
    theirs = Path(invenio_accounts.__file__).parent / "translations" / language / "LC_MESSAGES" / "messages.mo"
    with theirs.open("rb") as file:
        header = read_mo(file)
    for project in translations.PACKAGES:
        ours = translations.translation(project, language)
        assert (ours.num_plurals, ours.plural_expr) == (header.num_plurals, header.plural_expr)
        for message in ours:
            if message.id and message.pluralizable:
                assert len(set(message.string[1:])) == 1, message.id


def test_whatever_werkzeug_says_of_a_status_can_be_translated():
    """A newer Werkzeug may say it in other words."""
    others = {error for code, error in default_exceptions.items() if code != TEAPOT}
    assert {error.description for error in others} == set(foreign_texts.DESCRIPTIONS)
    assert {error().name for error in others} <= set(foreign_texts.NAMES)


def test_a_missing_and_a_wrong_translation_are_noticed(tmp_path: Path):
    catalogue = translations.translation("Invenio-Files-REST", "de")
    catalogue["Bucket quota exceeded."].string = ""
    catalogue["%(key)s is stored."].string = "%(kye)s ist gespeichert."
    found = {message.id: wrong for message, wrong in translations.incomplete(catalogue)}
    assert found["Bucket quota exceeded."] == "not translated"
    assert "%(key)s is stored." in found


def test_a_message_is_its_english_text():
    """So that logs, rows of the database and programs that compare have that."""
    message = Message("%(num)s part of %(name)s", {"num": 2, "name": "a"}, "%(num)s parts of %(name)s", 2)
    assert (message, f"{message}", type(str(message))) == ("2 parts of a", "2 parts of a", str)
    assert Message("100 %") == "100 %"
