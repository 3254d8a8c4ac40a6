"""Log-in with a password: limited by account, with answers that do not reveal which accounts exist."""

from __future__ import annotations

import secrets
from functools import cache
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

from flask import Flask, Response, abort, current_app, request
from flask_security import forms
from flask_security.confirmable import requires_confirmation
from flask_security.utils import hash_password, verify_and_update_password
from flask_wtf import FlaskForm
from invenio_accounts.proxies import current_datastore
from invenio_accounts.views import rest
from limits import parse_many
from webargs import fields

from invenio_files_rest.pages.origin import is_same_origin

REFUSED = "The e-mail address or the password is wrong, or the account is closed."
FOREIGN = "Pages of other sites use tokens."
TOO_MANY = "There were too many attempts to log in to this account. Try again later."


@cache
def _password_of_nobody() -> SimpleNamespace:
    return SimpleNamespace(password=hash_password(secrets.token_urlsafe()))


def attempt_allowed(email: str) -> bool:
    """Count a log-in attempt, and tell whether ``ACCOUNTS_LOGIN_RATELIMIT`` allows it.

    :param email: E-mail address of the account, which need not exist.
    """
    account = sha256(email.strip().lower().encode()).hexdigest()
    limiter = current_app.extensions["invenio-app"].limiter.limiter
    limits = parse_many(current_app.config["ACCOUNTS_LOGIN_RATELIMIT"])
    return all(limiter.hit(limit, "run-server.login", account) for limit in limits)


def verified_user(email: str, password: str) -> Any:
    """Return the user with this address and password, or ``None``; it takes the same time either way.

    :param email: E-mail address of the account.
    :param password: Password to verify.
    """
    user = current_datastore.get_user_by_email(email)
    nobody = _password_of_nobody()
    verified = verify_and_update_password(password, user if user and user.password else nobody)
    return user if verified and user.is_active and not requires_confirmation(user) else None


class LoginView(rest.LoginView):
    """``POST /api/login``."""

    post_args = {"email": fields.String(required=True), "password": fields.String(required=True)}

    @rest.use_kwargs(post_args)
    def post(self, email: str, password: str) -> Response:
        """Log in, unless a page of another site asks, which could have a visitor work in the account of an attacker."""
        if {"Origin", "Sec-Fetch-Site"} & set(request.headers.keys()) and not is_same_origin():
            abort(403, FOREIGN)
        if not attempt_allowed(email):
            abort(429, TOO_MANY)
        user = verified_user(email, password)
        if user is None:
            abort(400, REFUSED)
        self.login_user(user)
        response: Response = self.success_response(user)
        return response


class LoginForm(forms.LoginForm):
    """The form of ``/login/``."""

    def validate(self, extra_validators: Any = None) -> bool:
        """Verify the password."""
        if not FlaskForm.validate(self, extra_validators=extra_validators):
            return False
        refusal = None if attempt_allowed(self.email.data) else TOO_MANY
        self.user = None if refusal else verified_user(self.email.data, self.password.data)
        if self.user is None:
            self.password.errors = [refusal or REFUSED]
        return self.user is not None


def guard_login(sender: Any, app: Flask) -> None:
    """Replace the log-in view and form of an application that has been created."""
    with app.app_context():
        _password_of_nobody()
    app.extensions["security"].login_form = LoginForm
    if "invenio_accounts_rest_auth.login" in app.view_functions:
        app.view_functions["invenio_accounts_rest_auth.login"] = LoginView.as_view("login")
