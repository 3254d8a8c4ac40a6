"""Say what a bill of materials of cyclonedx-py is of, take out its links, and check the bill.

Usage: ``bill_of_materials.py < BILL > COMPLETE``, both in CycloneDX 1.6.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

OF = "invenio-files-rest"


def complete(bill: dict[str, Any]) -> None:
    """Make the distribution what the bill is of, and leave out links: some lead nowhere on other machines."""
    for component in bill["components"]:
        # The others, in their hundreds, are long in being checked. The index shows them, at the purl.
        component.pop("externalReferences", None)
    (bill["metadata"]["component"],) = (component for component in bill["components"] if component["name"] == OF)
    bill["components"].remove(bill["metadata"]["component"])


if __name__ == "__main__":
    bill = json.load(sys.stdin)
    complete(bill)
    text = json.dumps(bill, indent=1)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"The bill of materials is none: {error}")
    print(text)
