"""The shared store: Redis (or Valkey), for several replicas of the service.

Every commit is one Lua script, so it is atomic and one round trip. All keys share one hash slot.
Durability is the server's: run it with `appendonly yes` and `maxmemory-policy noeviction`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.errors import ConfigurationError, StoreUnavailable
from app.store.base import Key, Record, Write, checked, in_use, nothing_to_rest_on, now, stale

PREFIX = "{anchorage}:"
TIMEOUT_SECONDS = 5

COMMIT = """
-- KEYS: record. ARGV: the write as JSON, the value ("" deletes), then the new blobs: digest, bytes, ...
local function key(...) return ARGV[1] .. table.concat({...}, ':') end
local function me_of(write) return write.kind .. '/' .. write.name end

local function refusal(write, deletes, going)
  local me = me_of(write)
  local seen = redis.call('HGET', key('record', me), 'position')
  if (seen or '0') ~= tostring(write.seen) then return {'stale'} end
  if deletes or write.alone then
    local dependents = {}
    for _, other in ipairs(redis.call('SMEMBERS', key('dependents', me))) do
      if not going[other] then table.insert(dependents, other) end
    end
    if #dependents > 0 then table.sort(dependents) return {'in use', dependents} end
  end
  for _, other in ipairs(write.rests_on) do
    local created_at = redis.call('HGET', key('record', other), 'created_at')
    if not created_at then return {'missing', other} end
    if (write.born[other] or created_at) ~= created_at then return {'stale'} end
  end
end

local function apply(write, deletes)
  local me = me_of(write)
  local record = key('record', me)
  local position = redis.call('INCR', key('position'))
  redis.call('HSET', key('positions'), write.kind, position)

  for _, other in ipairs(redis.call('SMEMBERS', key('rests', me))) do
    redis.call('SREM', key('dependents', other), me)
  end
  redis.call('DEL', key('rests', me))
  for _, other in ipairs(write.rests_on) do
    redis.call('SADD', key('rests', me), other)
    redis.call('SADD', key('dependents', other), me)
  end

  local held = redis.call('SMEMBERS', key('refers', me))
  redis.call('DEL', key('refers', me))
  for _, digest in ipairs(write.refers) do
    redis.call('SADD', key('refers', me), digest)
    redis.call('SADD', key('referrers', digest), me)
  end
  for _, digest in ipairs(held) do
    if redis.call('SISMEMBER', key('refers', me), digest) == 0 then
      redis.call('SREM', key('referrers', digest), me)
      if redis.call('EXISTS', key('referrers', digest)) == 0 then redis.call('DEL', key('blob', digest)) end
    end
  end

  local left_at = key('deleted', write.kind)
  if deletes then
    local version = redis.call('HGET', record, 'version')
    if version then redis.call('HSET', left_at, write.name, version) end
    redis.call('DEL', record)
    redis.call('ZREM', key('names', write.kind), write.name)
    return {'deleted'}
  end
  redis.call('HSETNX', record, 'version', redis.call('HGET', left_at, write.name) or 0)
  redis.call('HINCRBY', record, 'version', 1)
  redis.call('HSETNX', record, 'created_at', write.now)
  redis.call('HSET', record, 'position', position, 'updated_at', write.now, 'value', ARGV[3])
  redis.call('ZADD', key('names', write.kind), 0, write.name)
  local fields = redis.call('HMGET', record, 'version', 'position', 'created_at', 'updated_at', 'value')
  return {'written', unpack(fields)}
end

-- what fails here takes nothing back: all is checked before anything is written
local write, deletes, going = cjson.decode(ARGV[2]), ARGV[3] == '', {}
for _, delete in ipairs(write.along) do
  local refused = refusal(delete, true, {})
  if refused then return refused end
  going[me_of(delete)] = true
end
local refused = refusal(write, deletes, going)
if refused then return refused end
for _, delete in ipairs(write.along) do apply(delete, true) end
for i = 4, #ARGV, 2 do redis.call('SET', key('blob', ARGV[i]), ARGV[i + 1]) end
return apply(write, deletes)
"""
PAGE = """
-- KEYS: the names of a kind. ARGV: prefix of their records, first name, limit, fields.
local rows = {}
for i, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], '+', 'LIMIT', 0, ARGV[3])) do
  rows[i] = {name, redis.call('HMGET', ARGV[1] .. name, unpack(ARGV, 4))}
end
return rows
"""
FIELDS = ["version", "position", "created_at", "updated_at", "value"]


class RedisStore:
    """`redis://`, `rediss://` or `unix://`, as redis-py reads them. Connects again by itself."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(  # its stubs say that any answer may be text
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1),  # once, to replace a connection that a restart has closed
        )
        try:
            self._redis.connection_pool.make_connection()  # connects to nothing yet
        except TypeError as error:
            raise ConfigurationError(
                f"the store URL has a parameter that redis-py does not know: {error}"
            ) from error
        self._commit, self._page = self._redis.register_script(COMMIT), self._redis.register_script(PAGE)

    def get(self, kind: str, name: str) -> Record | None:
        with available():
            row = self._redis.hmget(f"{PREFIX}record:{kind}/{name}", FIELDS)
        return record_of(kind, name, row) if row[0] else None

    def page(self, kind: str, after: str, limit: int) -> list[Record]:
        low = f"({after}" if after else "-"
        with available():
            rows = self._page(
                keys=[f"{PREFIX}names:{kind}"], args=[f"{PREFIX}record:{kind}/", low, limit, *FIELDS]
            )
        return [record_of(kind, name.decode(), row) for name, row in rows]

    def position(self, kind: str) -> int:
        with available():
            return int(self._redis.hget(f"{PREFIX}positions", kind) or 0)

    def blob(self, digest: str) -> bytes | None:
        with available():
            data = self._redis.get(f"{PREFIX}blob:{digest}")
        return None if data is None else checked(digest, data)

    def commit(self, write: Write) -> Record | None:
        with available():
            outcome, *rest = self._commit(
                keys=[f"{PREFIX}record:{write.kind}/{write.name}"], args=arguments(write)
            )
        match outcome:
            case b"stale":
                raise stale(write)
            case b"in use":
                raise in_use(write, [key_of(dependent) for dependent in rest[0]])
            case b"missing":
                raise nothing_to_rest_on(write, *key_of(rest[0]))
            case b"written":
                return record_of(write.kind, write.name, rest)
        return None

    def exists(self) -> bool:
        return True  # whether it answers, its first use finds out

    def risks(self) -> list[str]:
        try:
            found = {name: self._setting(name) for name in ("appendonly", "appendfsync", "maxmemory-policy")}
        except redis.ResponseError as error:
            return [f"Redis does not show its configuration: {error}"]
        risky = {
            "appendonly is no: what was written since the last snapshot is lost when Redis stops": (
                found["appendonly"] != "yes"
            ),
            f"appendfsync is {found['appendfsync']}: the last second is lost when its machine stops": (
                found["appendfsync"] != "always"
            ),
            f"maxmemory-policy is {found['maxmemory-policy']}: Redis may evict records": (
                found["maxmemory-policy"] != "noeviction"
            ),
        }
        return [risk for risk, holds in risky.items() if holds]

    def close(self) -> None:
        self._redis.close()

    def _setting(self, name: str) -> str:
        try:
            return str(self._redis.config_get(name)[name])
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise unavailable(error) from error


@contextmanager
def available() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise unavailable(error) from error


def unavailable(error: redis.RedisError) -> StoreUnavailable:
    return StoreUnavailable(f"the Redis store does not answer: {error}")


def arguments(write: Write) -> list[bytes | str]:
    value = b"" if write.value is None else orjson.dumps(write.value)
    return [PREFIX, orjson.dumps(head(write)), value, *(part for blob in write.blobs.items() for part in blob)]


def head(write: Write) -> dict[str, Any]:
    """All but the value and the blobs."""
    return {
        "kind": write.kind,
        "name": write.name,
        "seen": write.seen,
        "rests_on": [f"{kind}/{name}" for kind, name in write.rests_on],
        "born": {f"{kind}/{name}": created_at for (kind, name), created_at in write.born.items()},
        "alone": write.alone,
        "refers": sorted(write.refers),
        "along": [head(delete) for delete in write.along],
        "now": now(),
    }


def key_of(member: bytes) -> Key:
    kind, _, name = member.decode().partition("/")
    return kind, name


def record_of(kind: str, name: str, row: Sequence[bytes]) -> Record:
    version, position, created_at, updated_at, value = row
    return Record(
        kind, name, int(version), int(position), created_at.decode(), updated_at.decode(), orjson.loads(value)
    )
