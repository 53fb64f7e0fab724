"""Whether a server is ready, asked from outside."""

import json
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

SECONDS = 5


def ask(url: str) -> str:
    """What keeps the server at `url` from being ready, in one line; "" if it is."""
    try:
        with urlopen(f"{url}/readyz", timeout=SECONDS) as answer:  # noqa: S310  the operator's own URL
            return "" if answer.status == 200 else f"it answered {answer.status}"
    except HTTPError as error:
        fault = f"it answered {error.code}{told(error)}"
    except URLError as error:
        fault = str(error.reason)
    except (OSError, ValueError, HTTPException) as error:
        fault = str(error)
    return " ".join(fault.split())


def told(refusal: HTTPError) -> str:
    """The reasons that /readyz gives; others than our server give none."""
    try:
        body = json.loads(refusal.read())
    except (OSError, ValueError, HTTPException):
        return ""
    match body:
        case {"checks": dict(checks)}:
            return "".join(f", {name}: {check}" for name, check in checks.items() if check != "ok")
    return ""
