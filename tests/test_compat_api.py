"""Every documented name is there, and takes the documented parameters in their order."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

API = json.loads((Path(__file__).parent / "data" / "api.json").read_text())


def find(dotted: str) -> Any:
    """Import the longest prefix of a dotted name that is a module, and walk the rest as attributes."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError as error:
            if not dotted.startswith(str(error.name)):
                raise
            continue
        for attribute in parts[cut:]:
            found = inspect.getattr_static(found, attribute) if inspect.isclass(found) else getattr(found, attribute)
        return found
    raise AttributeError(dotted)


def parameters(found: Any) -> list[str]:
    """Return the names of the parameters that a caller can pass, in order."""
    function = found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


@pytest.mark.parametrize("entry", API, ids=lambda entry: entry["name"].partition(".")[2])
def test_a_documented_name_is_there_with_its_parameters(entry: dict[str, Any]) -> None:
    wanted = [name for name in entry.get("params", []) if not name.startswith("*")]
    found = find(entry["name"])
    if wanted:
        assert [name for name in parameters(found) if name in wanted] == wanted


@pytest.mark.parametrize("name", ["storage.pyfs.FS", "views.merge_multipartobject", "views.remove_file_data"])
def test_what_other_packages_import_is_there(name: str) -> None:
    assert callable(find(f"invenio_files_rest.{name}"))
