"""How Sphinx builds the documentation."""

from __future__ import annotations

import sys
from importlib.metadata import version as package_version
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

project = "Invenio-Files-REST"
author = "The Invenio-Files-REST authors"
copyright = "2026, The Invenio-Files-REST authors"
release = version = package_version("invenio-files-rest")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.viewcode", "openapi_reference"]
exclude_patterns = ["_build"]
# What pages and docstrings call by its public name is in the reference. Types of signatures may lie elsewhere.
nitpicky = True
_PUBLIC = (
    r"invenio_files_rest\.(config|errors|helpers|limiters|signals|tasks|telemetry)\.",
    r"invenio_files_rest\.(models|storage|testing)\.[A-Z]\w+$",
)
nitpick_ignore_regex = [(r"py:\w+", f"(?!{'|'.join(_PUBLIC)}).*")]
root_doc = "index"

autoclass_content = "both"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
# Types stand in the signatures.
autodoc_typehints = "signature"
autodoc_type_aliases = {}
python_use_unqualified_type_names = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_title = f"{project} {release}"
