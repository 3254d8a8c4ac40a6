"""The three plans, which say which bytes of an upload are valid and which are missing."""

from .appended import Appended
from .fixed import FixedParts
from .interface import Uploading
from .parts import AnyParts

FIXED = FixedParts()
"""Parts of one size, of a known total, in the tables that 6.1 knows."""

PARTS = AnyParts()
"""Parts with numbers and sizes of their own."""

APPENDED = Appended()
"""One run that grows."""

PLANS: dict[str, Uploading] = {plan.name: plan for plan in (FIXED, PARTS, APPENDED)}
"""The plans by their names."""
