"""What the views do, for the description of the API: which function does what, and how it answers."""

from __future__ import annotations

from ...http.openapi.document import Described
from ...http.openapi.uses import Answer, Use
from ...telemetry.exposition import metrics
from ..bucket import BucketResource
from ..location import LocationResource
from ..object import ObjectResource
from .bucket import BUCKET
from .location import LOCATION
from .object import OBJECT

_METRICS = Use(
    view=metrics,
    answers={200: Answer("The metrics, as Prometheus reads them.", types=("text/plain",))},
    refuses=frozenset({404, 500}),
)
DESCRIBED: Described = {
    LocationResource: LOCATION,
    BucketResource: BUCKET,
    ObjectResource: OBJECT,
    metrics: {"GET": (_METRICS,), "HEAD": (_METRICS,)},
}
"""Uses of each method, by the class of the view or its function; :mod:`..openapi` adds its own."""
