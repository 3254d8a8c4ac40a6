"""The sessions of run-server.sh's instances, in files: how many there are, and how long they last."""

from __future__ import annotations

import pickle
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

SETTINGS = Path(__file__).parents[1] / "scripts" / "server" / "invenio.cfg"


@pytest.fixture(scope="module")
def stores() -> Any:
    """Return the class of the store, which is part of the settings."""
    for name in ("simplekv", "invenio_accounts", "invenio_records_files"):
        pytest.importorskip(name)
    settings: dict[str, Any] = {"__file__": str(SETTINGS)}
    text = SETTINGS.read_text().replace("@SECRET_KEY@", "'secret'").replace("@DATABASE_URL@", "'sqlite://'")
    exec(compile(text, str(SETTINGS), "exec"), settings)
    return settings["Sessions"]


def put(store: Any, name: str, **content: Any) -> None:
    store.put(name, pickle.dumps({"_permanent": True, **content}))


def test_sessions_are_bounded_while_the_server_runs(stores: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(stores, "MOST", 20)
    monkeypatch.setattr(stores, "BETWEEN", 10)
    store = stores(str(tmp_path), timedelta(days=31))
    put(store, "somebody", _user_id="1")
    for number in range(100):
        put(store, f"nobody-{number}", csrf_token="x")
    assert len(list(tmp_path.iterdir())) <= 30
    # Whoever comes without logging in takes nobody's place.
    assert pickle.loads(store.get("somebody"))["_user_id"] == "1"
    put(store, "nobody-99")
    assert "nobody-99" not in store


def test_sessions_that_have_expired_are_removed(stores: Any, tmp_path: Path, monkeypatch: Any) -> None:
    store = stores(str(tmp_path), timedelta(days=31))
    put(store, "somebody", _user_id="1")
    put(store, "nobody", csrf_token="x")
    now = time.time()
    for days, left in ((0, ["nobody", "somebody"]), (1, ["somebody"]), (30, ["somebody"]), (32, [])):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * 86400)
        stores(str(tmp_path), timedelta(days=31))
        assert sorted(path.name for path in tmp_path.iterdir()) == left
