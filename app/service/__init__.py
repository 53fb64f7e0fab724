"""Use cases, one module per noun, free of HTTP."""

import logging
from dataclasses import dataclass
from pathlib import Path

from app.errors import ServiceError, StoreUnavailable
from app.index import Owner, gpu, gpus, searched
from app.onnx.description import Limits
from app.onnx.head import OnnxHead, OnnxHeads
from app.onnx.runner import Runner
from app.service.collections import Collections
from app.service.evaluation import Evaluations
from app.service.fitting import Fitting
from app.service.heads import Heads
from app.service.indexing import Indexing
from app.service.relative import RelativeCodes
from app.service.search import Search
from app.service.spaces import Spaces
from app.service.stitching import Stitching
from app.service.translators import Translators
from app.settings import Settings
from app.store import Store
from models.heads import HEADS

logger = logging.getLogger("anchorage")


@dataclass
class Services:
    """All of them, over one store."""

    settings: Settings
    store: Store
    spaces: Spaces
    heads: Heads
    translators: Translators
    collections: Collections
    search: Search
    codes: RelativeCodes
    stitching: Stitching
    fitting: Fitting
    evaluations: Evaluations
    onnx: Runner
    loading: str = "loading collections"

    @classmethod
    def over(cls, store: Store, settings: Settings) -> "Services":
        spaces = Spaces(store, settings.max_dim)
        limits = Limits(settings.max_model_bytes, settings.max_model_memory, settings.max_model_seconds)
        onnx = Runner(limits)
        heads = Heads(store, spaces, {**HEADS, OnnxHead.kind: OnnxHeads(onnx)})
        translators = Translators(store, spaces, heads)
        indexing = Indexing(
            Path(settings.index_folder) if settings.index_folder else None,
            Owner(gpu(), searched) if gpus() else None,
        )
        collections = Collections(store, spaces, translators, indexing, settings.max_payload_bytes)
        search = Search(collections, settings.max_k, settings.max_hits)
        codes = RelativeCodes(spaces, settings.max_outputs)
        stitching = Stitching(spaces, heads, translators, codes, settings.max_outputs)
        return cls(
            settings=settings,
            store=store,
            spaces=spaces,
            heads=heads,
            translators=translators,
            collections=collections,
            search=search,
            codes=codes,
            stitching=stitching,
            fitting=Fitting(heads, codes),
            evaluations=Evaluations(spaces, heads, translators, stitching),
            onnx=onnx,
        )

    def close(self) -> None:
        self.onnx.close()
        self.store.close()

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
