"""What an answer says of its language, and how templates show sizes and times in it."""

from __future__ import annotations

from datetime import datetime

from flask import Response
from flask.blueprints import BlueprintSetupState
from flask_babel import Babel, format_datetime, format_decimal
from jinja2.filters import do_filesizeformat

from ..messages import chosen_locale, lazy_ngettext, reader_locale, translated
from ..messages import lazy_gettext as _

_UNITS = (
    lambda size: _("%(size)s KiB", size=size),
    lambda size: _("%(size)s MiB", size=size),
    lambda size: _("%(size)s GiB", size=size),
    lambda size: _("%(size)s TiB", size=size),
    lambda size: _("%(size)s PiB", size=size),
    lambda size: _("%(size)s EiB", size=size),
)


def tell_language(response: Response) -> Response:
    """Name the language of an answer (RFC 9110, section 8.5), and tell caches that it depends on the request.

    What has no words for people, such as a file, depends on no language: one copy of it is good for all.

    :param response: Any response of the application.
    """
    if locale := chosen_locale():
        response.headers.setdefault("Content-Language", str(locale).replace("_", "-"))
        response.vary.add("Accept-Language")
    return response


def page_language() -> str:
    """Return the language of a page, as the attribute ``lang`` has it."""
    return str(reader_locale() or "en").replace("_", "-")


def size_in_words(size: int) -> str:
    """Return a number of bytes in units of 1024, in the reader's language.

    :param size: The number.
    """
    if reader_locale() is None:
        return do_filesizeformat(size, binary=True)
    if size < 1024:
        return translated(lazy_ngettext("%(num)s Byte", "%(num)s Bytes", size))
    exponent = min((size.bit_length() - 1) // 10, len(_UNITS))
    return translated(_UNITS[exponent - 1](format_decimal(size / 1024**exponent, "#,##0.0")))


def number_in_words(number: int) -> str:
    """Return a whole number with its digits in groups, in the reader's language.

    :param number: The number.
    """
    return f"{number:,}".replace(",", " ") if reader_locale() is None else format_decimal(number)


def bytes_in_words(size: int) -> str:
    """Return a number of bytes as it is, in the reader's language.

    :param size: The number.
    """
    digits = number_in_words(size)
    return translated(lazy_ngettext("%(digits)s byte", "%(digits)s bytes", size, digits=digits))


def moment_in_words(moment: datetime) -> str:
    """Return a moment to the minute, in UTC, as the reader's language writes it.

    :param moment: The moment, in UTC where it has no time zone.
    """
    locale = reader_locale()
    if locale is None or locale.language == "en":
        return moment.strftime("%Y-%m-%d %H:%M")
    return str(format_datetime(moment, "short", rebase=False))


def speak(setup: BlueprintSetupState) -> None:
    """Give the pages of a blueprint what they say things with, in English where the application has no translations.

    :param setup: The registration of the blueprint, which comes after the extensions.
    """
    if "babel" not in setup.app.extensions:
        Babel(setup.app)
    templates = setup.app.jinja_env
    templates.globals["files_rest_language"] = page_language
    templates.filters |= {
        "files_rest_translated": lambda text: translated(text) or "",
        "files_rest_size": size_in_words,
        "files_rest_bytes": bytes_in_words,
        "files_rest_number": number_in_words,
        "files_rest_moment": moment_in_words,
    }
