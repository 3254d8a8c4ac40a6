"""What a progress bar tells: how much is done, how fast, and how long the rest takes."""

from __future__ import annotations

import sys

import pytest

from invenio_files_rest.cli.output import Column, table
from invenio_files_rest.cli.progress import Bar


def test_numbers_are_steps_rate_bytes_and_time_left():
    bar = Bar("Verifying", 100)
    bar.advance(25, size=50 * 1024**2)
    assert bar.numbers(5) == "25/100  5.0/s  10.0 MiB/s  0:15 left"
    assert bar.numbers(2500) == "25/100  0.0/s  20.5 KiB/s  2:05:00 left"
    bar.advance(75)
    assert "left" not in bar.numbers(5)


def test_numbers_of_bytes_are_in_units():
    bar = Bar("Reading", 10 * 1024**3, in_bytes=True)
    assert bar.numbers(0) == "0 B/10.0 GiB"
    bar.advance(1024**3)
    assert bar.numbers(60) == "1.0 GiB/10.0 GiB  17.1 MiB/s  9:00 left"


def test_where_the_end_is_not_known_no_time_is_told():
    bar = Bar("Sweeping")
    bar.advance(10)
    assert bar.numbers(2) == "10  5.0/s"


def test_a_bar_is_shown_on_terminals_alone_and_makes_room_for_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with Bar("Checking", 2) as bar:
        bar.advance()
        bar.clear()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for length in (2, None):
        with Bar("Checking", length) as bar:
            bar.advance()
            bar.clear()
            bar.advance()
        shown = capsys.readouterr().err
        assert "\r\033[K" in shown
        assert ("2/2" if length else "2  ") in shown
        assert shown.endswith("\x1b[?25h\n")


@pytest.mark.parametrize("columns", ["1", "20", "60", "200"])
def test_a_bar_fits_terminals_of_any_width(columns: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", columns)
    with Bar("Checking", 2) as bar:
        bar.advance(2)


def test_wide_characters_take_two_columns_of_a_table(capsys: pytest.CaptureFixture[str]):
    table(
        [Column("A"), Column("B", right=True), Column("C")],
        [("日本", 1, None), ("e\u0301", 22, True), ("abcdef", 3, "x")],
    )
    assert capsys.readouterr().out.splitlines() == [
        "A        B  C",
        "日本     1  -",
        "e\u0301       22  yes",
        "abcdef   3  x",
    ]
