"""The three plans, which determine which bytes of an upload are valid and which are missing."""

from typing import Any

from .appended import Appended
from .fixed import FixedParts
from .free import FreeTables
from .interface import Keeping, Uploading
from .parts import AnyParts

FIXED = FixedParts()
"""Parts of one size with a known total, in the tables that 6.1 knows."""

PARTS = AnyParts()
"""Parts of any size."""

APPENDED = Appended()
"""One growing run."""

PLANS: dict[str, Uploading[Any, Any]] = {plan.name: plan for plan in (FIXED, PARTS, APPENDED)}
"""The plans by their names."""

TABLES: tuple[Keeping, ...] = (FIXED, FreeTables())
"""What there is to ask for all uploads, of whatever plan, that are to be ended."""
