"""Answers speak the language of who asks, and logs, rows and machines' fields speak English."""

from __future__ import annotations

import base64
import copy
import io
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from babel import Locale
from conftest import application
from flask import Flask, render_template, render_template_string
from flask.testing import FlaskClient
from flask_babel import refresh
from helpers.rest import put, statements, url
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invenio_accounts.testutils import create_test_user, login_user_via_session
from invenio_db import db as database
from invenio_rest.errors import FieldError
from markupsafe import Markup, escape
from werkzeug.test import TestResponse

from invenio_files_rest import InvenioFilesREST, messages
from invenio_files_rest.app import Flask as FilesFlask
from invenio_files_rest.errors import (
    BucketLockedError,
    FileSizeError,
    InvalidArguments,
    MissingQueryParameter,
    StorageError,
)
from invenio_files_rest.http.languages import bytes_in_words, moment_in_words, size_in_words
from invenio_files_rest.models import Bucket
from invenio_files_rest.models.base import utcnow
from invenio_files_rest.pages.messages import MESSAGES
from invenio_files_rest.pages.messages import messages as strings_of_scripts
from invenio_files_rest.shares import create_blueprint
from invenio_files_rest.telemetry import logs
from invenio_files_rest.views import blueprint

LANGUAGES = [("de", "Deutsch"), ("fr", "Français"), ("es", "Español")]
LOCKED = {
    "de": "Der Bucket ist für Änderungen gesperrt.",
    "en": "Bucket is locked for modifications.",
    "es": "El bucket está bloqueado y no se puede modificar.",
    "fr": "Le bucket est verrouillé\u00a0: il ne peut pas être modifié.",
}
TUS = {"Tus-Resumable": "1.0.0"}
PAGE = {"Accept": "text/html"}

pytestmark = pytest.mark.usefixtures("allow_all")


@pytest.fixture(scope="module")
def base_app(app_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Make the API of an application that has four languages, and links for others."""
    ours = {"I18N_LANGUAGES": LANGUAGES, "FILES_REST_SHARES_ENABLED": True, "SECRET_KEY": "s"}
    with application(app_config | ours, tmp_path_factory.mktemp("instance")) as app:
        app.register_blueprint(create_blueprint(app))
        yield app


def speaking(language: str, **headers: str) -> dict[str, str]:
    return {"Accept-Language": language, **{name.replace("_", "-"): value for name, value in headers.items()}}


def told(response: TestResponse) -> str:
    return json.loads(response.get_data(as_text=True))["message"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de", "de"),
        ("fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("es-MX,es;q=0.5", "es"),
        ("it, de;q=0.4, en;q=0.3", "de"),
        ("it", "en"),
        ("*", "en"),
        ("", "en"),
    ],
)
def test_a_refusal_is_in_the_best_language_that_is_accepted(
    client: FlaskClient, bucket: Bucket, accepted: str, language: str
) -> None:
    bucket.locked = True
    database.session.commit()
    response = client.put(url(bucket, "a"), data=b"x", headers=speaking(accepted))
    assert (response.status_code, told(response)) == (403, LOCKED[language])
    assert response.status == "403 FORBIDDEN"
    assert response.headers["Content-Language"] == language
    assert "accept-language" in response.vary
    assert "no-store" in response.headers["Cache-Control"]


def test_without_a_language_it_is_english(client: FlaskClient, bucket: Bucket) -> None:
    bucket.locked = True
    database.session.commit()
    assert told(client.put(url(bucket, "a"), data=b"x")) == LOCKED["en"]


def test_a_file_depends_on_no_language(client: FlaskClient, bucket: Bucket) -> None:
    put(client, bucket, "a", b"x")
    for path in (url(bucket, "a"), url(bucket)):
        response = client.get(path, headers=speaking("de"))
        assert response.status_code == 200
        assert "Content-Language" not in response.headers
        assert "accept-language" not in response.vary


def test_the_language_that_was_chosen_for_the_session_goes_before_that_of_the_browser(
    client: FlaskClient, bucket: Bucket
) -> None:
    with client.session_transaction() as session:
        session["language"] = "fr"
    response = client.get(f"/files/{bucket.id}/nothing", headers=speaking("de"))
    assert told(response) == "Le bucket ou l\u2019objet n\u2019existe pas."


def test_arguments_are_told_of_in_the_language_and_named_as_they_are(client: FlaskClient, bucket: Bucket) -> None:
    response = client.get(url(bucket, **{"max-keys": "5000"}), headers=speaking("de"))
    body = json.loads(response.text)
    assert (response.status_code, body["message"]) == (422, "Angaben der Anfrage sind falsch.")
    assert body["errors"] == [{"field": "max-keys", "message": "Muss mindestens 1 und höchstens 1.000 sein."}]
    missing = client.post(url(bucket, "a", uploads=""), headers=speaking("fr"))
    assert told(missing) == "L\u2019argument «\u00a0size\u00a0», obligatoire dans l\u2019URL, manque"
    unknown = client.get(url(bucket, archive="rar"), headers=speaking("es"))
    assert json.loads(unknown.text)["errors"][0]["message"].startswith("Debe ser uno de: ")


def test_what_werkzeug_refuses_is_translated_too(client: FlaskClient, bucket: Bucket) -> None:
    response = client.delete("/files/links/none", headers=speaking("de"))
    assert (response.status_code, bool(response.headers["Allow"])) == (405, True)
    assert told(response) == "Die Methode ist für die angefragte URL nicht erlaubt."


def test_tus_and_the_draft_answer_in_the_language(client: FlaskClient, bucket: Bucket) -> None:
    refused = client.post(url(bucket), headers=speaking("de", **TUS, Upload_Length="5"))
    assert refused.status_code == 400
    assert told(refused).startswith("Upload-Metadata muss")
    key = base64.b64encode(b"a").decode()
    begun = {"Upload-Length": "5", "Upload-Metadata": f"key {key}", **TUS}
    created = client.post(url(bucket), headers=begun)
    assert created.status_code == 201
    patched = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "3", **TUS}
    conflict = client.patch(created.headers["Location"], data=b"ab", headers={**patched, "Accept-Language": "fr"})
    assert (conflict.status_code, told(conflict)) == (409, "Le téléversement continue au décalage 0.")
    assert conflict.headers["Upload-Offset"] == "0"


def test_a_problem_keeps_its_type_and_its_registered_title(client: FlaskClient, bucket: Bucket) -> None:
    begun = client.post(url(bucket, "a"), headers={"Upload-Complete": "?0", "Upload-Length": "5"})
    headers = speaking("es", Upload_Complete="?1", Upload_Offset="3", Content_Type="application/partial-upload")
    response = client.patch(begun.headers["Location"], data=b"ab", headers=headers)
    problem = json.loads(response.text)
    assert response.content_type == "application/problem+json"
    assert problem["type"].endswith("#mismatching-upload-offset")
    assert problem["title"] == "offset from request does not match offset of resource"
    assert (problem["expected-offset"], problem["status"]) == (0, 409)
    assert problem["message"] == "La subida continúa en el desplazamiento 0."


def test_why_an_upload_failed_is_kept_in_english_and_told_in_the_language(app: Flask) -> None:
    from invenio_files_rest.services.uploads.errors import why_it_failed

    reason = why_it_failed("Bucket quota exceeded.")
    assert reason == "The upload has failed: Bucket quota exceeded."
    with app.test_request_context(headers=speaking("de")):
        assert messages.translated(reason) == (
            "Der Upload ist gescheitert: Das Kontingent des Buckets ist überschritten."
        )


@pytest.mark.parametrize(
    ("language", "one", "many"),
    [
        ("en", "1 part is missing: 4", "12000 parts are missing: 4"),
        ("de", "1 Teil fehlt: 4", "12.000 Teile fehlen: 4"),
        ("fr", "Il manque 1 partie\u00a0: 4", "Il manque 12\u202f000 parties\u00a0: 4"),
        ("es", "Falta 1 parte: 4", "Faltan 12.000 partes: 4"),
    ],
)
def test_plural_forms_and_numbers_are_those_of_the_language(app: Flask, language: str, one: str, many: str) -> None:
    with app.test_request_context(headers=speaking(language)):
        for number, text in ((1, one), (12000, many)):
            message = messages.lazy_ngettext(
                "%(num)s part is missing: %(named)s", "%(num)s parts are missing: %(named)s", number, named="4"
            )
            assert messages.translated(message) == text


def test_sizes_and_times_are_written_as_the_language_does(app: Flask) -> None:
    moment = utcnow().replace(2026, 3, 9, 14, 5)
    expected = {
        "en": ("15.0 KiB", "15,360 bytes", "2026-03-09 14:05"),
        "de": ("15,0 KiB", "15.360 Byte", "09.03.26"),
        "fr": ("15,0 Kio", "15\u202f360 octets", "09/03/2026"),
        "es": ("15,0 KiB", "15.360 bytes", "9/3/26"),
    }
    for language, shown in expected.items():
        with app.test_request_context(headers=speaking(language)):
            refresh()
            assert (size_in_words(15360), bytes_in_words(15360)) == shown[:2]
            # How day and time are joined is a matter of Babel's version.
            assert moment_in_words(moment).startswith(shown[2])
            assert moment_in_words(moment).endswith("14:05")


def test_pages_of_links_are_in_the_language(client: FlaskClient, bucket: Bucket, app: Flask) -> None:
    user = create_test_user("maker@example.org", "a password")
    maker = app.test_client()
    login_user_via_session(maker, user)
    made = maker.post(url(bucket, links=""), json={"prefix": "in/"})
    assert made.status_code == 201, made.text
    address = json.loads(made.text)["url"].partition("http://localhost")[2]
    put(client, bucket, "in/a.txt", b"x" * 1536)
    page = client.get(address, headers=speaking("fr", **PAGE))
    assert '<html lang="fr">' in page.text
    assert ("Tout télécharger en ZIP" in page.text, "1,5 Kio" in page.text) == (True, True)
    assert (page.headers["Content-Language"], "accept-language" in page.vary) == ("fr", True)
    lost = client.get("/files/links/none", headers=speaking("de", **PAGE))
    assert (lost.status_code, "<h1>Nicht gefunden</h1>" in lost.text) == (404, True)
    assert "Diesen Link gibt es nicht" in lost.text


def test_scripts_of_pages_say_what_they_say_in_the_language(app: Flask) -> None:
    expected = {
        "en": ("No link has been made.", "{size} MiB"),
        "de": ("Es gibt noch keinen Link.", "{size} MiB"),
        "fr": ("Aucun lien n\u2019a été créé.", "{size} Mio"),
        "es": ("No se ha creado ningún enlace.", "{size} MiB"),
    }
    for language, shown in expected.items():
        with app.test_request_context(headers=speaking(language)):
            refresh()
            said = strings_of_scripts()
        assert (said["no_links"], said["mib"]) == shown
        # Some words are the same in two languages.
        same = sum(said[name] == text for name, text in MESSAGES.items())
        assert same == len(MESSAGES) if language == "en" else same < len(MESSAGES) / 10


def test_logs_are_in_english(client: FlaskClient, bucket: Bucket, app: Flask) -> None:
    handler: Any = logs.own_handler()
    buffer = io.StringIO()
    before = handler.setStream(buffer)
    try:
        bucket.locked = True
        database.session.commit()
        client.put(url(bucket, "a"), data=b"x", headers=speaking("de"))
        bucket.locked = False
        database.session.commit()
        client.post(url(bucket, "a", uploads=""), headers=speaking("de"))
        client.get(url(bucket, **{"max-keys": "5000"}), headers=speaking("de"))
    finally:
        handler.setStream(before)
    written = buffer.getvalue()
    assert LOCKED["en"] in written
    assert "Missing required query argument" in written
    assert "less than or equal to 1000" in written
    assert "gesperrt" not in written
    assert "höchstens" not in written


def test_an_error_is_english_wherever_it_is_no_answer(app: Flask) -> None:
    with app.test_request_context(headers=speaking("de")):
        error = BucketLockedError()
        assert (error.description, str(error)) == (LOCKED["en"], f"403 Forbidden: {LOCKED['en']}")
        assert json.loads(json.dumps({"reason": error.description})) == {"reason": LOCKED["en"]}
        assert json.loads(error.get_body())["message"] == LOCKED["de"]
        missing = MissingQueryParameter("size")
        assert missing.get_english() == "Missing required query argument 'size'"
        hidden = StorageError("a path")
        assert "a path" not in hidden.get_body()
        assert "a path" in str(hidden)
    assert json.loads(BucketLockedError().get_body())["message"] == LOCKED["en"]


def test_what_others_say_is_said_as_it_is(app: Flask) -> None:
    """Packages that build on this one raise our errors with texts of theirs, some of them lazy."""
    from invenio_i18n import lazy_gettext

    with app.test_request_context(headers=speaking("de")):
        assert json.loads(FileSizeError(description="Not 100 % of {it}.").get_body())["message"] == "Not 100 % of {it}."
        lazy = FileSizeError(description=lazy_gettext("Bucket quota exceeded."))
        assert json.loads(lazy.get_body())["message"] == "Das Kontingent des Buckets ist überschritten."
        # More than a text, and less than what ours say.
        whole = InvalidArguments(errors=[FieldError("a", ["Wrong.", "Odd."]), FieldError("b", None)])
        told = [one.get("message") for one in json.loads(whole.get_body())["errors"]]
        assert told == [["Wrong.", "Odd."], None]
        assert MissingQueryParameter.description.format(arg_name="size") == "Missing required query argument 'size'"
        # The empty text of a catalogue is its head.
        assert messages.Message("").__html__() == ""


@pytest.mark.parametrize("key", ["%(key)s %s %", "{key} {}", "<b>&", "a\u202eb"])
def test_what_is_put_into_a_message_is_never_read_as_a_part_of_it(app: Flask, key: str) -> None:
    message = messages.lazy_gettext("There is nothing of the key '%(key)s'.", key=key)
    english = f"There is nothing of the key '{key}'."
    same = [copy.deepcopy(message), pickle.loads(pickle.dumps(message)), message.format(input="x")]
    assert [*same, json.loads(json.dumps(message)), f"{message}"] == [english] * 5
    with app.test_request_context(headers=speaking("de")):
        german = f"Unter dem Schlüssel „{key}“ gibt es nichts."
        assert [messages.translated(one) for one in (message, *same)] == [german] * 4
        assert Markup("<p>%s</p>") % message == f"<p>{escape(german)}</p>"
        assert render_template_string("{{ message }}", message=message) == escape(german)


def test_an_application_without_translations_answers_in_english(tmp_path: Path) -> None:
    app = FilesFlask("plain", instance_path=str(tmp_path))
    InvenioFilesREST(app)
    app.register_blueprint(blueprint)
    assert "babel" not in app.extensions
    with app.test_request_context(headers=speaking("de")):
        assert json.loads(BucketLockedError().get_body())["message"] == LOCKED["en"]
    response = app.test_client().get("/files/metrics?x", headers=speaking("de"))
    assert "Content-Language" not in response.headers


def test_pages_of_an_application_without_translations_are_in_english(tmp_path: Path) -> None:
    app = FilesFlask("plain", instance_path=str(tmp_path))
    app.config["FILES_REST_SHARES_ENABLED"] = True
    InvenioFilesREST(app)
    app.register_blueprint(create_blueprint(app))
    with app.test_request_context(headers=speaking("de")):
        page = render_template("invenio_files_rest/shares/upload.html", action="/", largest=2048, style="")
    assert '<html lang="en">' in page
    assert "Upload a file" in page
    assert "The largest one may have 2.0 KiB." in page


def test_a_language_that_cannot_be_looked_up_does_not_hide_the_error(app: Flask) -> None:
    failing = patch.object(messages, "get_locale", side_effect=RuntimeError("no database"))
    with app.test_request_context(headers=speaking("de")), failing as asked:
        for _ in range(3):
            assert json.loads(BucketLockedError().get_body())["message"] == LOCKED["en"]
        assert asked.call_count == 1


def test_the_language_costs_no_statement(client: FlaskClient, bucket: Bucket) -> None:
    bucket.locked = True
    database.session.commit()
    counts = []
    for headers in ({}, speaking("de")):
        with statements() as made:
            client.put(url(bucket, "a"), data=b"x", headers=headers)
        counts.append(len(made))
    assert counts[0] == counts[1]


def test_an_application_can_say_a_message_in_its_own_words(
    app_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the documentation has it: in the folder ``translations`` of the application."""
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo

    folder = tmp_path_factory.mktemp("own")
    for language, text in (("en", "Read only."), ("it", "Solo lettura.")):
        path = folder / "translations" / language / "LC_MESSAGES" / "messages.mo"
        path.parent.mkdir(parents=True)
        catalogue = Catalog(Locale.parse(language))
        catalogue.add(LOCKED["en"], text)
        with path.open("wb") as file:
            write_mo(file, catalogue)
    from invenio_i18n import InvenioI18N

    app = FilesFlask("own", root_path=str(folder), instance_path=str(folder))
    app.config.update(I18N_LANGUAGES=[("it", "Italiano"), ("de", "Deutsch")])
    InvenioI18N(app)
    for language, text in (("it", "Solo lettura."), ("de", LOCKED["de"]), ("en", "Read only.")):
        with app.test_request_context(headers=speaking(language)):
            assert json.loads(BucketLockedError().get_body())["message"] == text


_LANGUAGE_LIKE = st.from_regex(rb"[a-zA-Z*]{1,9}([-_][\w]{1,9}){0,3}(;q=[\d.eE+-]{0,9})?")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.one_of(st.binary(max_size=60), _LANGUAGE_LIKE))
def test_no_accept_language_is_an_error_of_the_server(client: FlaskClient, header: bytes) -> None:
    environ = {"HTTP_ACCEPT_LANGUAGE": header.decode("latin-1").replace("\r", "").replace("\n", "")}
    for headers in ({}, PAGE):
        response = client.get("/files/links/none", environ_overrides=environ, headers=headers)
        assert response.status_code == 404
        assert response.headers["Content-Language"] in ("en", "de", "fr", "es")
