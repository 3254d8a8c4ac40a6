"""Records with files: connects Invenio-Records and Invenio-Files-REST."""

from .ext import InvenioRecordsFiles

__version__ = "4.1.0"

__all__ = ("InvenioRecordsFiles", "__version__")
