"""`application/json`: matrices as arrays of numbers, or as {"base64", "dtype", "shape"}.

simdjson reads the numbers into one flat buffer without making a Python object of each.
"""

import json
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from math import isfinite, prod
from typing import Any

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from app.api.codecs.base import HOLDERS, Fields, check_shape, matrix
from app.api.validation import Path, pointer, shown
from app.errors import InvalidInput, InvalidVectors, MalformedBody

DTYPES = ("<f2", "<f4", "<f8")
LOWEST, HIGHEST = -(2**63), 2**64 - 1  # whole numbers that simdjson reads
DIGITS = 100  # of a whole number: one that has more is beyond 64 bits all the same
MEMBERS = 256  # of an object that are looked up one by one
OPTIONS = orjson.OPT_SERIALIZE_NUMPY
RANK = 32  # axes that an array may have


class JsonCodec:
    """One object. Wherever a member is called `vectors`, a matrix stands."""

    media_type = "application/json"

    def decode(self, body: bytes, query: Mapping[str, Any]) -> Fields:  # noqa: ARG002  all is in the body
        try:
            parsed = simdjson.Parser().parse(body)
        except (ValueError, RuntimeError) as error:
            raise unreadable(body) from error
        if not isinstance(parsed, simdjson.Object):
            raise MalformedBody("the body must be a JSON object")
        return members(parsed, body)

    def encode(self, fields: Fields) -> tuple[bytes, dict[str, str]]:
        return orjson.dumps(fields, option=OPTIONS), {}


def members(parsed: simdjson.Object, body: bytes, holds: bool = True) -> Fields:
    """Of an object that `holds` vectors and payloads, or of one within it.

    MalformedBody for one that stands twice, at any depth but in payloads: of the user's own the last counts.
    """
    names = [*parsed.keys()]
    if len(names) > MEMBERS or "\0" in "".join(names):  # simdjson goes through all for each, and knows no NUL
        found: Fields = read_once(parsed)
        return found
    check_once(names)
    fields: Fields = {}
    for name in names:
        value = parsed[name]
        if holds and name == "vectors":
            fields[name] = vectors_of(value, body)
        elif isinstance(value, simdjson.Object):
            fields[name] = members(value, body, holds and name in HOLDERS)
        elif isinstance(value, simdjson.Array):
            fields[name] = value.as_list() if holds and name == "payloads" else listed(value)
        else:
            fields[name] = value
    return fields


def listed(array: simdjson.Array) -> Any:
    """Rows of numbers, and names, without a look at each."""
    parts = [*array]
    kinds = {*map(type, parts)}
    if simdjson.Object in kinds:
        return read_once(array)
    if simdjson.Array in kinds:
        return [listed(part) if isinstance(part, simdjson.Array) else part for part in parts]
    return parts


def read_once(value: simdjson.Object | simdjson.Array) -> Any:
    """By Python's own parser, which shows every member."""
    return json.loads(value.mini, object_pairs_hook=once)


def once(pairs: list[tuple[str, Any]]) -> Fields:
    """MalformedBody for a member of an object that stands twice: nobody knows which was meant."""
    check_once([name for name, _ in pairs])
    return dict(pairs)


def check_once(names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise MalformedBody(f"the member {shown(twice)} stands twice in one JSON object")


def vectors_of(value: Any, body: bytes) -> NDArray[np.float32]:
    if isinstance(value, simdjson.Array):
        return matrix(numbers(value, body))
    if isinstance(value, simdjson.Object):
        return matrix(from_base64(members(value, body, holds=False)))
    raise InvalidVectors(
        'vectors must be an array of arrays of numbers, or {"base64": ..., "dtype": "<f4", "shape": [n, d]}, '
        f"got {value!r:.40}"
    )


def numbers(rows: Any, body: bytes) -> NDArray[np.float64]:
    """(n, d). InvalidVectors with the first row that is not an array of d numbers."""
    if not all(isinstance(row, simdjson.Array) for row in rows):
        raise first_bad(rows.as_list())
    widths = {len(row) for row in rows} or {0}
    try:
        flat = np.frombuffer(rows.as_buffer(of_type="d"), np.float64)
    except TypeError as error:
        raise first_bad(rows.as_list()) from error
    if len(widths) > 1 or flat.size != len(rows) * max(widths) or nested(rows, body):
        raise first_bad(rows.as_list())
    return flat.reshape(len(rows), max(widths))


def nested(rows: Any, body: bytes) -> bool:
    """Whether a row holds arrays, which the flat buffer does not show."""
    return body.count(b"[") != len(rows) + 1 and any(row.mini.count(b"[") > 1 for row in rows)


def first_bad(rows: list[Any]) -> InvalidVectors:
    width = len(rows[0]) if isinstance(rows[0], list) else 0
    for number, row in enumerate(rows):
        if fault := fault_of(row, width):
            return InvalidVectors(f"row {number} {fault}", row=number)
    return InvalidVectors("vectors must be a matrix of finite numbers")


def fault_of(row: Any, width: int) -> str | None:
    """What keeps a row from being `width` finite numbers."""
    if not isinstance(row, list):
        return f"must be an array of numbers, got {row!r:.40}"
    for value in row:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"must hold numbers only, got {value!r:.40}"
        if isinstance(value, int) and not LOWEST <= value <= HIGHEST:
            return "has a whole number beyond 64 bits: write it with a decimal point or an exponent"
        if not isfinite(value):
            return f"has {value}: every number must be finite"
    return f"has {len(row)} numbers, row 0 has {width}" if len(row) != width else None


def unreadable(body: bytes) -> MalformedBody | InvalidInput:
    """Python's own parser also reads NaN, Infinity and huge numbers, so it can tell where they stand."""
    try:
        parsed = json.loads(body.decode().removeprefix("\ufeff"), parse_int=lambda digits: int(digits[:DIGITS]))
    except json.JSONDecodeError as error:
        return MalformedBody(f"the body is not JSON: {error}")
    except UnicodeDecodeError as error:
        return MalformedBody(f"the body is not UTF-8: byte {error.start} is {body[error.start]:#04x}")
    except RecursionError:
        return too_deep()
    for fields in (parsed, *(parsed.get(name) for name in HOLDERS)) if isinstance(parsed, dict) else ():
        rows = fields.get("vectors") if isinstance(fields, dict) else None
        if isinstance(rows, list) and rows and "row" in (bad := first_bad(rows)).facts:
            return bad
    for path, value in leaves_of(parsed):
        if fault := strange(value):
            return refusal(pointer(path), value, fault)
    return too_deep()


def strange(value: Any) -> str | None:
    """What is wrong with what Python's parser reads, and simdjson does not."""
    if type(value) is int and not LOWEST <= value <= HIGHEST:
        return f"must be a whole number within 64 bits, got {shown(value)}"
    if type(value) is float and not isfinite(value):
        return f"must be a finite number of double precision, got {json.dumps(value)}"
    if type(value) is str and value.encode(errors="replace").decode() != value:
        return "has half of a surrogate pair"
    return None


def whole(digits: str) -> int:
    """For Python's own parser. ValueError beyond 64 bits."""
    number = int(digits[:DIGITS])
    if fault := strange(number):
        raise ValueError(fault)
    return number


def refusal(place: str, value: Any, fault: str) -> MalformedBody | InvalidInput:
    """A huge number is JSON; what else is strange is not."""
    facts = {"errors": [{"pointer": place, "message": fault}]}
    if type(value) is int:
        return InvalidInput(f"{place or 'the body'}: {fault}", **facts)
    return MalformedBody(f"the body is not JSON that is read here: {place or 'it'} {fault}", **facts)


def leaves_of(value: Any) -> Iterator[tuple[Path, Any]]:
    """In the order of the body; a name in an object is a leaf at the object's place, before its value."""
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:  # no recursion: it may be deep
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [part for name in reversed(value) for part in (((*path, name), value[name]), (path, name))]
        elif isinstance(value, list):
            waiting += [((*path, place), value[place]) for place in reversed(range(len(value)))]
        else:
            yield path, value


def too_deep() -> MalformedBody:
    return MalformedBody("the body is nested too deeply")


def array_of(value: Any) -> NDArray[np.float32]:
    """Of any rank, from nested lists of numbers or from base64. ValueError."""
    if isinstance(value, Mapping):
        try:
            return from_base64(value, rank=None).astype(np.float32)
        except InvalidVectors as error:
            raise ValueError(str(error)) from error
    if not isinstance(value, list) or not leaves(value) <= {int, float}:
        raise ValueError(
            'an array is numbers in nested lists, or {"base64": ..., "dtype": "<f4", "shape": [...]}, '
            f"got {value!r:.40}"
        )
    try:
        array = np.asarray(value, np.float64)
    except ValueError as error:
        raise ValueError("the lists of an array must be equally long at every depth, and these are not") from error
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def leaves(value: list[Any]) -> set[type]:
    """The types of what stands in nested lists. ValueError."""
    kinds: set[type] = set()
    for _ in range(RANK):
        kinds |= set(map(type, value))
        if list not in kinds:
            return kinds
        kinds, value = kinds - {list}, [inner for part in value if type(part) is list for inner in part]
    raise ValueError(f"an array has at most {RANK} axes: the lists are nested deeper")


def from_base64(fields: Mapping[str, Any], rank: int | None = 2) -> NDArray[Any]:
    """{"base64": little-endian numbers, "dtype": one of DTYPES, "shape": [n, d], or any}. InvalidVectors."""
    shape, dtype, text = fields.get("shape"), fields.get("dtype", "<f4"), fields.get("base64")
    whole = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
    fits = whole and rank in (None, len(shape))  # type: ignore[arg-type]
    if not (isinstance(text, str) and dtype in DTYPES and fits):
        raise InvalidVectors(
            f'binary vectors are {{"base64": text, "dtype": one of {list(DTYPES)}, "shape": [n, d]}}, '
            f"got dtype {dtype!r} and shape {shape!r}"
        )
    if rank == 2:
        check_shape(shape)  # type: ignore[arg-type]
    try:
        data = b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidVectors(f"the base64 text of vectors cannot be decoded: {error}") from error
    expected = prod(shape) * np.dtype(dtype).itemsize  # type: ignore[arg-type]
    if len(data) != expected:
        raise InvalidVectors(
            f"vectors of shape {shape} and dtype {dtype} are {expected} bytes, the base64 text holds {len(data)}",
            expected=expected,
            got=len(data),
        )
    return np.frombuffer(data, dtype).reshape(shape)


def to_base64(vectors: NDArray[np.float32]) -> dict[str, Any]:
    return {"base64": b64encode(vectors.astype("<f4").tobytes()).decode(), "dtype": "<f4", "shape": vectors.shape}
