"""Messages for people: in English where they are made, in the reader's language where they are shown.

A message is made below the views, by code that knows no reader: a service, a storage, a task. It goes to logs and
databases, too, which stay in English. So it is its English text, and knows besides what it was made of; the room that
answers a request says it in the language of who asks, with :func:`translated`.

Names are those of gettext, so that ``pybabel extract`` finds the texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, overload

from babel import Locale
from flask import current_app, g, has_request_context, request
from flask_babel import force_locale, format_decimal, get_locale, get_translations
from markupsafe import Markup, escape


class Message(str):
    """A text in English that can be said in other languages.

    In a template it is said in the reader's language, anywhere else in English.

    :param text: The text, with named placeholders as in ``%(name)s``.
    :param values: What stands for the placeholders: texts, numbers, or other messages.
    :param plural: The text for any number but one.
    :param num: The number that chooses between both.
    """

    text: str
    values: dict[str, Any]
    plural: str | None
    num: int

    def __new__(
        cls, text: str, values: dict[str, Any] | None = None, plural: str | None = None, num: int = 1
    ) -> Message:
        """Make the English text."""
        chosen = text if plural is None or num == 1 else plural
        self = super().__new__(cls, chosen % values if values else chosen)
        self.text, self.values, self.plural, self.num = text, values or {}, plural, num
        return self

    def format(self, *args: object, **values: object) -> str:
        """Return the message with these values, which is how marshmallow puts them into what it says.

        A text with placeholders in braces is English from then on, as any other text that is formatted.
        """
        if "{" in self.text:
            return super().format(*args, **values)
        return Message(self.text, {**self.values, **values}, self.plural, self.num)

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep what it was made of, in a result of a task or a copy."""
        return Message, (self.text, self.values, self.plural, self.num)

    def __html__(self) -> Markup:
        """Return it in the reader's language, for a template."""
        return escape(_translated(self))


def lazy_gettext(text: str, /, **values: Any) -> Message:
    """Make a message.

    :param text: The text in English, with named placeholders.
    :param values: What stands for them. Whole numbers are shown as the reader's language writes them; what is to be
        copied as it stands, such as an offset, is given as a text.
    """
    return Message(text, values)


def lazy_ngettext(text: str, plural: str, num: int, /, **values: Any) -> Message:
    """Make a message that depends on a number, which is ``%(num)s`` in it.

    :param text: The text for one.
    :param plural: The text for another number.
    :param num: The number.
    :param values: What stands for the other placeholders.
    """
    return Message(text, {"num": num, **values}, plural, num)


@overload
def translated(text: str) -> str: ...


@overload
def translated(text: str | None) -> str | None: ...


def translated(text: str | None) -> str | None:
    """Return a text in the language of who asks, and note that the answer depends on it.

    It stays in English outside of a request, in an application without Invenio-I18N (or Flask-Babel), and where nobody
    has translated it.

    :param text: A message, or the text of another package.
    """
    return text and _translated(as_message(text))


def as_message(text: str | None) -> Message:
    """Return a message that was kept as its English text, so that it is said in the reader's language.

    :param text: The text.
    """
    return text if isinstance(text, Message) else Message(str(text))


def _translated(message: Message) -> str:
    # The empty text of a catalogue is its head.
    locale = reader_locale() if message.text else None
    if locale is None:
        return str(message)
    catalogue = get_translations()
    if message.plural is None:
        text = catalogue.ugettext(message.text)
    else:
        text = catalogue.ungettext(message.text, message.plural, message.num)
    try:
        return text % {name: _said(value, locale) for name, value in message.values.items()} if message.values else text
    except (KeyError, TypeError, ValueError):
        # An application's own translation has other placeholders.
        return str(message)


def _said(value: Any, locale: Locale) -> Any:
    if isinstance(value, Message):
        return _translated(value)
    # English is as it was before there were other languages, for the programs that compare it.
    return format_decimal(value) if type(value) is int and locale.language != "en" else value


def reader_locale() -> Locale | None:
    """Return the locale of who asks, and note that the answer depends on it; ``None`` where there is none."""
    if not has_request_context() or "babel" not in current_app.extensions or _NONE in g:
        return None
    try:
        locale: Locale | None = get_locale()
    except Exception:
        # It may lie in the database, whose failure may be what has to be told.
        current_app.logger.warning("The language of the answer could not be chosen.", exc_info=True)
        setattr(g, _NONE, True)
        return None
    if _is_chosen():
        setattr(g, _CHOSEN, locale)
    return locale


def _is_chosen() -> bool:
    """Tell whether the application has more than one language."""
    state = current_app.extensions.get("invenio-i18n")
    if state is not None:
        return len(state.get_languages()) > 1
    return current_app.extensions["babel"].locale_selector is not None


_CHOSEN, _NONE = "_files_rest_language", "_files_rest_no_language"


def chosen_locale() -> Locale | None:
    """Return the locale that the answer depends on; ``None`` where it depends on none."""
    locale: Locale | None = g.get(_CHOSEN)
    return locale


@contextmanager
def language_of_request() -> Iterator[None]:
    """Have the block answer in a language of the request's headers, without a look at who asks in the database."""
    state = current_app.extensions.get("invenio-i18n")
    if state is None:
        yield
        return
    languages = [language for language, _ in state.get_languages()]
    with force_locale(request.accept_languages.best_match(languages) or languages[0]):
        yield
