"""Stores by URL."""

import pytest

from app.errors import ConfigurationError
from app.store import STORES, open_store
from app.store.redis import RedisStore
from app.store.sqlite import SqliteStore

NOBODY = "redis://127.0.0.1:1"  # no server listens there


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:///anchorage.db", SqliteStore),
        ("sqlite:////var/lib/anchorage.db", SqliteStore),
        ("redis://127.0.0.1:1", RedisStore),
        ("redis://user:secret@127.0.0.1:1/3", RedisStore),
        ("rediss://127.0.0.1:1", RedisStore),
        ("unix:///run/redis.sock", RedisStore),
    ],
)
def test_the_scheme_chooses_the_store(url, kind):
    assert type(open_store(url)) is kind


@pytest.mark.parametrize("url", ["", "anchorage.db", "/var/anchorage.db", "postgres://host/db", "SQLITE:///a.db"])
def test_an_unknown_scheme_is_a_configuration_error(url):
    with pytest.raises(ConfigurationError, match="a store URL starts with one of"):
        open_store(url)


@pytest.mark.parametrize("scheme", STORES)
def test_the_error_names_every_scheme(scheme):
    with pytest.raises(ConfigurationError, match=f"'{scheme}://'"):
        open_store("postgres://host/db")


def test_opening_a_store_that_is_down_is_no_error():
    open_store(NOBODY).close()


def test_opening_a_store_writes_no_file(tmp_path):
    open_store(f"sqlite:///{tmp_path}/folder/store.db").close()
    assert list(tmp_path.iterdir()) == []
