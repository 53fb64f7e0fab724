"""The only reader of the environment: every setting is ANCHORAGE_<NAME>."""

import os
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "ANCHORAGE_"
BENCHMARKS = "ANCHORAGE_DATA"  # where these, and nobody else, find their data
MIB, GIB = 2**20, 2**30


class Settings(BaseSettings):
    """What an operator may choose. `anchorage doctor` prints the values in force."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    store: str = Field("sqlite:///data/anchorage.db", description="URL: sqlite:///path, redis://host:port/db")
    index_folder: str = Field("", description="where built indexes are saved; none: built anew at every start")
    host: str = Field("127.0.0.1", description="address to bind; anything but loopback needs keys")
    port: int = Field(8080, ge=0, le=65535, description="port to bind; 0 takes a free one")
    keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma-separated scope:sha256 of each key, as `anchorage key` prints; none: no keys"
    )
    access_log: bool = Field(False, description="a line for every request, to the standard output")
    max_body_bytes: int = Field(64 * MIB, ge=1, description="larger request bodies get 413")
    max_rows: int = Field(100_000, ge=1, description="more vectors in one call get 413")
    max_dim: int = Field(8_192, ge=1, description="wider spaces get 422; an affine map is max_dim² x 4 bytes")
    max_k: int = Field(1_000, ge=1, description="more results per query get 422")
    max_hits: int = Field(200_000, ge=1, description="more results in one answer, queries x k, get 422")
    max_payload_bytes: int = Field(MIB, ge=1, description="larger payloads of a point, as JSON, get 422")
    max_answer_bytes: int = Field(64 * MIB, ge=1, description="more payloads and vectors in one answer get 422")
    max_outputs: int = Field(50_000_000, ge=1, description="more numbers in one answer of heads or codes get 422")
    max_requests: int = Field(64, ge=1, description="more requests in flight get 503")

    max_model_bytes: int = Field(40 * MIB, ge=1, description="larger ONNX models get 422")
    max_model_memory: int = Field(GIB, ge=1, description="bytes that an ONNX model may take; more gets 422")
    max_model_seconds: float = Field(10.0, gt=0, description="longer calls of an ONNX model get 422")

    @field_validator("keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """In the environment keys are one text."""
        return tuple(key.strip() for key in value.split(",") if key.strip()) if isinstance(value, str) else value


def unknown_variables() -> list[str]:
    """Of the environment: such as look like settings and are none. One of them may be misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {BENCHMARKS}
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
