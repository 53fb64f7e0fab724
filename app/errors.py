"""Errors of the service.

DomainError
└── ServiceError
    ├── InvalidInput             a value that can be read and cannot be used
    │   ├── InvalidVectors       NaN, inf, ragged, empty, booleans, strings; names the row
    │   ├── WrongDimension       vectors of another width than the space
    │   ├── SameSpace            source and target are one space
    │   ├── Unrelated            two spaces whose shared anchors do not relate them
    │   ├── OverLimit            more dimensions, results, spaces or factors than one call may have
    │   ├── OnnxRefused          an ONNX model that cannot be a head
    │   ├── OnnxFailed           an ONNX model that failed when it ran
    │   └── OnnxOverrun          an ONNX model that took more time or memory than the settings allow
    ├── MalformedBody            a body that cannot be read at all
    ├── UnsupportedMediaType     a Content-Type without a codec
    │   └── UnsupportedEncoding  a body that is compressed
    ├── NotAcceptable            an Accept without a codec
    ├── BodyTooLarge             more bytes than the settings allow
    ├── TooManyRows              more rows in one call than the settings allow
    ├── NotFound                 no resource of that name
    ├── Conflict                 the change would alter what others rest on
    │   ├── InUse                others rest on the record that should go
    │   └── StaleWrite           somebody else wrote the record first
    ├── PreconditionFailed       If-Match names another version
    ├── Unauthorized             no key, or an unknown one
    ├── Forbidden                a key without the scope
    ├── Busy                     as many requests in flight as the settings allow
    ├── StoreUnavailable         the store does not answer
    ├── CorruptStore             a stored blob does not match its checksum
    └── ConfigurationError       the settings contradict themselves
"""

from models.errors import DomainError


class ServiceError(DomainError):
    """Root of the errors of `app`."""


class InvalidInput(ServiceError):
    """A value that can be read and cannot be used."""


class InvalidVectors(InvalidInput):
    """NaN, inf, ragged, empty, booleans, strings; `row` names the first bad row."""


class WrongDimension(InvalidInput):
    """Vectors of another width than the space has."""


class SameSpace(InvalidInput):
    """A translation needs two spaces."""


class Unrelated(InvalidInput):
    """Two spaces whose shared anchors do not relate them: nothing is better than the target's mean."""


class OverLimit(InvalidInput):
    """More dimensions, results, spaces or factors than one call may have."""


class OnnxRefused(InvalidInput):
    """An ONNX model that cannot be a head."""


class OnnxFailed(InvalidInput):
    """An ONNX model that failed when it ran."""


class OnnxOverrun(InvalidInput):
    """An ONNX model that took more time or memory than the settings allow; it was stopped."""


class MalformedBody(ServiceError):
    """A body that cannot be read at all."""


class UnsupportedMediaType(ServiceError):
    """A Content-Type that no codec reads."""


class UnsupportedEncoding(UnsupportedMediaType):
    """A Content-Encoding other than identity."""


class NotAcceptable(ServiceError):
    """An Accept that no codec writes."""


class BodyTooLarge(ServiceError):
    """More bytes than the settings allow."""


class TooManyRows(ServiceError):
    """More rows in one call than the settings allow."""


class NotFound(ServiceError):
    """No resource of that name."""


class Conflict(ServiceError):
    """The change would alter what others rest on."""


class InUse(Conflict):
    """Others rest on the record that should go."""


class StaleWrite(Conflict):
    """Somebody else wrote the record first."""


class PreconditionFailed(ServiceError):
    """If-Match names another version than the current one."""


class Unauthorized(ServiceError):
    """No key, or an unknown one."""


class Forbidden(ServiceError):
    """A key that lacks the scope of the route."""


class Busy(ServiceError):
    """As many requests are in flight as the settings allow."""


class StoreUnavailable(ServiceError):
    """The store does not answer."""


class CorruptStore(ServiceError):
    """A stored blob is missing or does not match its checksum."""


class ConfigurationError(ServiceError):
    """The settings contradict themselves."""
