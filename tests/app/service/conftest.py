"""Services over one SQLite store: several of them are several replicas."""

import numpy as np
import pytest

from app.service import Services
from app.service.spaces import Space
from app.settings import Settings
from app.store import open_store
from app.store.rows import Rows

IDS = [f"item-{number:02}" for number in range(40)]


@pytest.fixture
def replica(tmp_path):
    """replica(): Services of its own over the one store."""
    opened = []

    def make():
        store = open_store(f"sqlite:///{tmp_path}/store.db")
        opened.append(store)
        return Services.over(store, Settings())

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def services(replica):
    return replica()


@pytest.fixture
def put_space():
    """put_space(services, name, dim, seed): a space of 40 anchors, the same items in every space."""

    def put(services, name, dim=4, seed=0):
        items = np.random.default_rng(0).standard_normal((40, 4))
        turn = np.random.default_rng(seed).standard_normal((4, dim))
        rows = Rows(IDS, (items @ turn).astype(np.float32), [b""] * 40)
        return services.spaces.put(name, Space(dim, {}, ""), rows, None)

    return put
