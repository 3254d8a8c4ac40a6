"""Scopes of OAuth tokens: what somebody else may do with files for a user, with tokens of Invenio-OAuth2Server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from conftest import IsolatedClient
from flask import Flask
from flask.testing import FlaskClient
from helpers.rest import CONTENT, put, url
from invenio_access.models import ActionUsers
from invenio_access.permissions import superuser_access
from invenio_accounts.models import User
from invenio_accounts.testutils import create_test_user, login_user_via_session
from invenio_db import db

from invenio_files_rest.models import Bucket, Location

pytest.importorskip("invenio_oauth2server")


@pytest.fixture(scope="module")
def base_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Make a REST API with tokens, on SQLite: tables of Invenio-OAuth2Server cannot be made on every database."""
    from invenio_access import InvenioAccess
    from invenio_accounts import InvenioAccountsREST
    from invenio_celery import InvenioCelery
    from invenio_db import InvenioDB
    from invenio_i18n import InvenioI18N
    from invenio_oauth2server import InvenioOAuth2Server, InvenioOAuth2ServerREST
    from invenio_rest import InvenioREST

    from invenio_files_rest import InvenioFilesREST
    from invenio_files_rest.app import Flask
    from invenio_files_rest.views import blueprint

    folder = tmp_path_factory.mktemp("instance")
    app = Flask("testapp", instance_path=str(folder))
    app.test_client_class = IsolatedClient
    app.config.update(
        ACCOUNTS_SESSION_REDIS_URL="",
        ACCOUNTS_USE_CELERY=False,
        CELERY_TASK_ALWAYS_EAGER=True,
        OAUTH2_CACHE_TYPE="simple",
        REST_CSRF_ENABLED=True,
        SECRET_KEY="for tests alone",
        SECURITY_DEPRECATED_PASSWORD_SCHEMES=[],
        SECURITY_PASSWORD_HASH="plaintext",
        SECURITY_PASSWORD_SCHEMES=["plaintext"],
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/test.db",
        TESTING=True,
    )
    for extension in (
        *(InvenioCelery, InvenioDB, InvenioI18N, InvenioREST, InvenioAccountsREST, InvenioAccess),
        *(InvenioOAuth2Server, InvenioOAuth2ServerREST, InvenioFilesREST),
    ):
        extension(app)
    app.register_blueprint(blueprint)
    with app.app_context():
        prefixes = ("access_", "accounts_", "files_", "oauth2server_")
        db.metadata.create_all(db.engine, tables=[t for t in db.metadata.sorted_tables if t.name.startswith(prefixes)])
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="module")
def user(base_app: Flask) -> User:
    """Return somebody who may do everything."""
    user = create_test_user("user@example.org", "a password")
    db.session.add(ActionUsers.allow(superuser_access, user_id=user.id))
    db.session.commit()
    return user


@pytest.fixture(scope="module")
def bucket(base_app: Flask, tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    location = Location(name="testloc", uri=str(tmp_path_factory.mktemp("location")), default=True)
    db.session.add(location)
    bucket = Bucket.create(location)
    db.session.commit()
    return bucket


@pytest.fixture
def client(base_app: Flask) -> FlaskClient:
    return base_app.test_client()


@pytest.fixture
def with_token(user: User) -> Callable[..., dict[str, str]]:
    """Return a function that makes a token with scopes, and the header of requests with it."""
    from invenio_oauth2server.models import Token

    def make(*scopes: str) -> dict[str, str]:
        token = Token.create_personal("a token", user.id, scopes=list(scopes))
        db.session.commit()
        return {"Authorization": f"Bearer {token.access_token}"}

    return make


REQUESTS: list[tuple[str, str | None, str]] = [
    ("GET", None, "files:read"),
    ("HEAD", None, "files:read"),
    ("GET", "a.txt", "files:read"),
    ("HEAD", "a.txt", "files:read"),
    ("PUT", "b.txt", "files:write"),
    ("POST", "c.txt?uploads&size=10&partSize=5242880", "files:write"),
    ("DELETE", "a.txt", "files:write"),
    ("POST", "", "files:write"),
]


@pytest.mark.parametrize(("method", "path", "scope"), REQUESTS)
@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize(
    "scopes", [(), ("user:email",), ("files:read",), ("files:write",), ("files:read", "files:write")], ids=str
)
def test_a_token_is_held_to_its_scopes_and_one_without_may_what_its_user_may_unless_they_are_required(
    base_app: Flask,
    client: FlaskClient,
    bucket: Bucket,
    with_token: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    scopes: tuple[str, ...],
    required: bool,
    method: str,
    path: str | None,
    scope: str,
) -> None:
    put(client, bucket, "a.txt", headers=with_token("files:write"))
    monkeypatch.setitem(base_app.config, "FILES_REST_REQUIRE_SCOPES", required)
    target = "/files" if path == "" else url(bucket) + (f"/{path}" if path else "")
    body = CONTENT if method == "PUT" else None
    answer = client.open(target, method=method, data=body, headers=with_token(*scopes))
    if scope in scopes or not (required or {"files:read", "files:write"} & set(scopes)):
        assert answer.status_code in (200, 204)
        return
    assert answer.status_code == 403
    challenge = answer.www_authenticate
    assert (challenge.type, challenge["error"], challenge["scope"]) == ("bearer", "insufficient_scope", scope)
    if method != "HEAD":
        assert answer.json["message"] == f"The token has not the scope {scope}."


def test_a_token_without_the_scope_learns_nothing_of_what_there_is(
    client: FlaskClient, bucket: Bucket, with_token: Callable[..., dict[str, str]]
) -> None:
    headers = with_token("files:write")
    put(client, bucket, "a.txt", headers=headers)
    answers = {client.get(url(bucket, key), headers=headers).data for key in ("a.txt", "nothing.txt")}
    assert len(answers) == 1


def test_a_session_has_no_scopes_and_changes_something_with_the_token_of_its_cookie_alone(
    base_app: Flask, client: FlaskClient, bucket: Bucket, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(base_app.config, "FILES_REST_REQUIRE_SCOPES", True)
    login_user_via_session(client, user)
    assert client.get(url(bucket)).status_code == 200
    refused = client.put(url(bucket, "s.txt"), data=CONTENT)
    assert (refused.status_code, refused.json["message"]) == (400, "CSRF cookie not set.")
    assert client.put(url(bucket, "s.txt"), data=CONTENT).json["message"] == "CSRF token missing or incorrect."
    token = client.get_cookie("csrftoken").value
    assert client.put(url(bucket, "s.txt"), data=CONTENT, headers={"X-CSRFToken": token}).status_code == 200
    assert client.delete(url(bucket, "s.txt")).status_code == 400


def test_the_scopes_are_offered_to_whoever_makes_a_token(base_app: Flask) -> None:
    offered = {name for name, _ in base_app.extensions["invenio-oauth2server"].scope_choices()}
    assert {"files:read", "files:write"} <= offered
