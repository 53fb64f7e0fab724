"""The `anchorage` command."""

import gc
import hashlib
import logging
import os
import secrets
import socket
import sys
from ipaddress import ip_address
from typing import Annotated

import typer
from pydantic import ValidationError

from app.api.validation import message
from app.errors import ConfigurationError
from app.health import ask
from app.keys import SCOPES, Key
from app.settings import Settings, unknown_variables

# that a connection may rest. Who sends is to close it first, or its next request may meet the end of the
# connection: load balancers and nginx drop those that they keep after 60 seconds, Go's clients after 90.
IDLE_SECONDS = 100

cli = typer.Typer(
    help="Latent-space translation as a service. Every setting is also an environment variable ANCHORAGE_<NAME>.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Host = Annotated[str | None, typer.Option(help="address to bind [ANCHORAGE_HOST, 127.0.0.1]")]
Port = Annotated[str | None, typer.Option(metavar="INTEGER", help="port to bind [ANCHORAGE_PORT, 8080]")]
Store = Annotated[str | None, typer.Option(help="store URL [ANCHORAGE_STORE, sqlite:///data/anchorage.db]")]


@cli.command()
def serve(host: Host = None, port: Port = None, store: Store = None) -> None:
    """Run the server; Ctrl-C stops it."""
    settings = settings_with(host=host, port=port, store=store)
    refuse_open_door(settings)
    refuse_taken_port(settings)

    import uvicorn  # noqa: PLC0415  takes a while, as all that follows: the other commands start without

    from app.main import create_app  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(name)s: %(message)s")
    for name in unknown_variables():
        logging.getLogger("anchorage").warning("%s is no setting: is it misspelt?", name)
    app = create_app(settings)
    # Imported modules hold some 300,000 objects, which stay: to go through them takes the collector a fifth of a
    # second, in which all requests wait.
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        timeout_keep_alive=IDLE_SECONDS,
        access_log=settings.access_log,
    )


@cli.command()
def demo() -> None:
    """Show the main job on real input: text and images, translated and searched over HTTP."""
    try:
        from app.demo.run import run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"the demo needs {error.name}: pip install 'anchorage[cpu,demo]'") from error
    run()


@cli.command()
def doctor(store: Store = None) -> None:
    """Say on one page how this installation stands: store, index, device, versions, limits. Exit 1 on a fault."""
    from app.doctor import examine  # noqa: PLC0415

    raise typer.Exit(0 if examine(settings_with(store=store)) else 1)


@cli.command()
def healthcheck(
    url: Annotated[str | None, typer.Option(help="of the server [host and port of the settings]")] = None,
) -> None:
    """Say whether the server is ready, or why not. Exit 0 if it is, 1 if not: for containers."""
    settings = settings_with()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = url or f"http://{host}:{settings.port}"
    fault = ask(url)
    typer.echo(f"{url} is not ready: {fault}" if fault else f"{url} is ready")
    raise typer.Exit(1 if fault else 0)


@cli.command()
def key(
    scope: Annotated[
        str, typer.Argument(help="read (look up and compute), write (everything) or admin (as write, today)")
    ] = "read",
) -> None:
    """Make a key: its text for the client, its hash for ANCHORAGE_KEYS."""
    if scope not in SCOPES:
        raise ConfigurationError(f"the scope of a key is one of {list(SCOPES)}, got {scope!r}")
    text = secrets.token_urlsafe(32)
    made = Key.parse(f"{scope}:{hashlib.sha256(text.encode()).hexdigest()}")
    typer.echo(f"Authorization: Bearer {text}")
    typer.echo(f"ANCHORAGE_KEYS={made.scope}:{made.sha256}")


def settings_with(**options: str | None) -> Settings:
    """The environment's settings, with the options that were given in front. ConfigurationError."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        names = {name: f"--{name}" for name in given}
        faults = [(str(fault["loc"][0]), message([fault], Settings)) for fault in error.errors()]
        said = [f"{names.get(name, f'ANCHORAGE_{name.upper()}')} {fault}" for name, fault in faults]
        raise ConfigurationError("; ".join(said)) from error


def refuse_open_door(settings: Settings) -> None:
    """Without keys anybody who reaches the port could read and write everything."""
    if not settings.keys and not is_loopback(settings.host):
        raise ConfigurationError(
            f"without keys the server binds loopback addresses only, not {settings.host!r}: "
            "make one with `anchorage key write` and set ANCHORAGE_KEYS"
        )


def refuse_taken_port(settings: Settings) -> None:
    """Before anything is loaded."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        raise ConfigurationError(
            f"{settings.host}:{settings.port} cannot be bound ({error.strerror}): choose another with --port"
        ) from error


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main() -> None:
    # Read by OpenMP when torch and FAISS are loaded. Threads that spin while they wait hold up a solve
    # by ten times and more as soon as anything else runs on their cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        cli()
    except ConfigurationError as error:
        typer.echo(f"anchorage: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
