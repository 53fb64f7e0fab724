"""What a schema finds wrong with a body or a parameter, in the words of the service instead of pydantic's."""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from app.errors import InvalidInput

Path = tuple[int | str, ...]

FAULTS = 20  # that a problem names
SHOWN = 40  # characters of a text that came
TOO_DEEP = ("recursion_loop", "recursion_depth_exceeded")  # JSON has no loops
ABOVE = 2  # members on the way to what is too deep that a pointer names
EXPECTED: Mapping[str, str] = {  # by pydantic's type of the error
    "model_type": "an object",
    "dict_type": "an object",
    "list_type": "an array",
    "string_type": "a text",
    "string_pattern_mismatch": "a text that matches {pattern}",
    "string_too_short": "of length {min_length} or more",
    "string_too_long": "of length {max_length} or less",
    "too_short": "of length {min_length} or more",
    "too_long": "of length {max_length} or less",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "literal_error": "{expected}",
    "is_instance_of": "an array of arrays of numbers",
}


def from_validation(
    found: Sequence[ErrorDetails], body: Any = None, model: type[BaseModel] = BaseModel
) -> InvalidInput:
    """With JSON pointers into the body, which should be a `model`, and without a copy of it."""
    faults: dict[Path, list[ErrorDetails]] = {}
    for error in found:
        path = error["loc"] if body is None else place(error, body)
        faults.setdefault(path[:ABOVE] if error["type"] in TOO_DEEP else path, []).append(error)
    around = {path[:length] for path in faults for length in range(len(path))}
    # of alternatives, the one that fits best
    meant = {path: errors for path, errors in faults.items() if path not in around}
    places = [{"pointer": pointer(path), "message": message(meant[path], model)} for path in [*meant][:FAULTS]]
    first = places[0]
    more = f" (and {len(meant) - 1} more)" if len(meant) > 1 else ""
    where = f"{first['pointer']}: " if first["pointer"] else ""
    return InvalidInput(f"{where}{first['message']}{more}", errors=places)


def place(error: ErrorDetails, body: Any) -> Path:
    """Where in the body it is, or should be: pydantic also names the alternative that it tried."""
    path: list[int | str] = []
    for part in error["loc"]:
        inside = part in body if isinstance(body, dict) else isinstance(body, list) and part in range(len(body))
        if inside:
            path.append(part)
            body = body[part]
    return (*path, error["loc"][-1]) if error["type"] == "missing" else tuple(path)


def pointer(path: Path) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def message(errors: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
    """What all alternatives say of one place."""
    texts = [text_of(error, model) for error in errors if error["type"] not in EXPECTED]
    known = [error for error in errors if error["type"] in EXPECTED]
    if known:
        expected = dict.fromkeys(EXPECTED[error["type"]].format(**error.get("ctx", {})) for error in known)
        texts.append(f"must be {', or '.join(expected)}, got {shown(known[0]['input'])}")
    return "; ".join(dict.fromkeys(texts))


def text_of(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] == "missing":
        return "is missing and must be given"
    if error["type"] in TOO_DEEP:
        return "is nested too deeply"
    if error["type"] == "extra_forbidden":
        return unknown(str(error["loc"][-1]), fields_at(model, error["loc"][:-1]))
    return error["msg"].removeprefix("Value error, ")


def unknown(name: str, fields: Sequence[str]) -> str:
    nearest = [field for field in fields if field in name.split("_")] or get_close_matches(name, fields, n=1)
    hint = f", and the nearest is {nearest[0]!r}" if nearest else ""
    return f"is not known: the fields here are {list(fields)}{hint}"


def fields_at(model: type[BaseModel], path: Path) -> list[str]:
    """Of the model that stands there in `model`."""
    for part in path:
        field = fields_of(model).get(str(part))
        model = next(iter(models_in(field.annotation if field else None)), model)
    return list(fields_of(model))


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """By their names in a body."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Among its alternatives, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def shown(value: Any) -> str:
    """What came, briefly and in JSON's terms."""
    if isinstance(value, str):
        more = f"… of length {len(value)}" if len(value) > SHOWN else ""
        return f"{value[:SHOWN]!r}{more}"
    if isinstance(value, list | dict):
        return f"an {'array' if isinstance(value, list) else 'object'} of length {len(value)}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return f"{value!r:.{SHOWN}}"
