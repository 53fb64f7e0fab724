"""Use cases, one module per noun, free of HTTP."""

import logging
from dataclasses import dataclass
from pathlib import Path

from app.errors import ServiceError, StoreUnavailable
from app.index import Owner, gpu, gpus, searched
from app.service.collections import Collections
from app.service.indexing import Indexing
from app.service.search import Search
from app.service.spaces import Spaces
from app.service.translators import Translators
from app.settings import Settings
from app.store import Store

logger = logging.getLogger("anchorage")


@dataclass
class Services:
    """All of them, over one store."""

    settings: Settings
    store: Store
    spaces: Spaces
    translators: Translators
    collections: Collections
    search: Search
    loading: str = "loading collections"

    @classmethod
    def over(cls, store: Store, settings: Settings) -> "Services":
        spaces = Spaces(store, settings.max_dim)
        translators = Translators(store, spaces)
        indexing = Indexing(
            Path(settings.index_folder) if settings.index_folder else None,
            Owner(gpu(), searched) if gpus() else None,
        )
        collections = Collections(store, spaces, translators, indexing, settings.max_payload_bytes)
        search = Search(collections, settings.max_k, settings.max_hits)
        return cls(settings, store, spaces, translators, collections, search)

    def load(self) -> None:
        """Rebuild every index from the store; what fails here is tried again by the first search."""
        try:
            for risk in self.store.risks():
                logger.warning("store: %s", risk)
            for record in self.collections.all():
                self._load_collection(record.name)
        except ServiceError as error:
            logger.warning("collections are loaded by their first search: %s", error)
        finally:
            self.loading = "ok"

    def _load_collection(self, name: str) -> None:
        try:
            self.collections.load(name)
            logger.info("loaded collection %s", name)
        except ServiceError as error:  # deleted meanwhile, or damaged: the others are not to suffer
            logger.warning("collection %s is not loaded: %s", name, error)

    def checks(self) -> dict[str, str]:
        """What readiness rests on, "ok" or what is wrong."""
        try:
            self.store.position("space")
        except StoreUnavailable as error:
            return {"store": str(error), "index": self.loading}
        return {"store": "ok", "index": self.loading}

    @property
    def warnings(self) -> list[str]:
        """What works, and not as it should."""
        owner = self.collections.indexing.owner
        return [*self.collections.faults, *(owner.warnings if owner else ())]
