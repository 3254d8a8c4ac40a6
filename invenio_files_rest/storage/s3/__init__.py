"""Storage in an object store with the API of S3, for the locations that ``FILES_REST_S3_LOCATIONS`` names.

It needs the extra ``s3``, which has boto3. Bytes come and go through this process; nothing is written to its disk.
"""

from .locations import S3Location, check_lifetime, check_settings, location_of
from .storage import S3FileStorage

__all__ = ("S3FileStorage", "S3Location", "check_lifetime", "check_settings", "location_of")
