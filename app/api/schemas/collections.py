"""Collections over the wire."""

from typing import Annotated

from pydantic import BaseModel, Field

from app.api.schemas.base import In, Name, ResourceOut
from app.index import METRICS


class CollectionIn(In):
    """Stored points of one space."""

    space: Name
    metric: Annotated[str, Field(json_schema_extra={"enum": list(METRICS)})] = "cosine"


class CollectionOut(ResourceOut):
    """`points` counts them."""

    space: str
    dim: int
    metric: str
    points: int


class CollectionPage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    collections: list[CollectionOut]
    cursor: str | None
