"""Collections over the wire."""

from typing import Annotated

from pydantic import BaseModel, Field

from app.api.schemas.base import In, Name, ResourceOut
from app.index import AUTO, INDEXES, METRICS
from app.service.live import IndexStatus


class CollectionIn(In):
    """Stored points of one space."""

    space: Name
    metric: Annotated[str, Field(json_schema_extra={"enum": list(METRICS)})] = "cosine"
    index: Annotated[str, Field(json_schema_extra={"enum": [AUTO, *INDEXES]})] = AUTO


class CollectionOut(ResourceOut):
    """`points` counts them. `index_status` is null until the server has read them."""

    space: str
    dim: int
    metric: str
    index: str = AUTO
    index_status: IndexStatus | None = None
    points: int


class CollectionPage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    collections: list[CollectionOut]
    cursor: str | None
