"""How an installation stands, on one page."""

from rich.console import Console
from rich.table import Table

from app.api.codecs import CODECS
from app.errors import ServiceError
from app.service import Services
from app.service.info import info
from app.settings import Settings, unknown_variables
from app.store import open_store


def examine(settings: Settings) -> bool:
    """Print the page; whether all is well."""
    console, page = Console(), Table(show_header=False, box=None, padding=(0, 2))
    known = info(settings, list(CODECS))
    fault, facts = stored(settings)
    page.add_row("anchorage", known.version)
    page.add_row("versions", listed(known.versions))
    page.add_row("device", listed(known.device))
    page.add_row("index", listed(known.index))
    page.add_row("store", known.store)
    for line in [fault] if fault else facts:
        page.add_row("", line)
    page.add_row("saved indexes", settings.index_folder or "none: built anew at every start")
    page.add_row("bind", f"{settings.host}:{settings.port}")
    page.add_row("keys", str(len(settings.keys)) if settings.keys else "none: loopback only, every route is open")
    page.add_row("access log", "on" if settings.access_log else "off")
    for name in unknown_variables():
        page.add_row("no setting", f"[yellow]{name}: is it misspelt?[/yellow]")
    for name, limit in known.limits.items():
        page.add_row(name, f"{limit:,}")
    page.add_row("methods", ", ".join(known.methods))
    console.print(page)
    console.print("[red]not well[/red]" if fault else "[green]all is well[/green]")
    return not fault


def stored(settings: Settings) -> tuple[str, list[str]]:
    """What is wrong with the store, if anything; what it holds, and what its configuration risks."""
    try:
        store = open_store(settings.store)
        risks = [f"[yellow]{risk}[/yellow]" for risk in store.risks()]
        if not store.exists():
            return "", ["there is no store yet: `anchorage serve` makes one", *risks]
        services = Services.over(store, settings)
        nouns = (services.spaces, services.translators, services.heads, services.collections)
        counts = ", ".join(f"{len(noun.all())} {noun.kind}s" for noun in nouns)
        services.close()
    except ServiceError as error:
        return str(error), []
    return "", ["answers", counts, *risks]


def listed(facts: object) -> str:
    return ", ".join(f"{name} {value}" for name, value in dict(facts).items())  # type: ignore[call-overload]
