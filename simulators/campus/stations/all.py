"""Every station of the demo, found by looking into this folder: a module that exposes `STATION` is one more."""

from importlib import import_module
from pkgutil import iter_modules

import simulators.campus.stations as rooms
from simulators.campus.stations import Station


def all_stations() -> list[Station]:
    """A fresh one of each, by name."""
    names = sorted(module.name for module in iter_modules(rooms.__path__))
    makers = [getattr(import_module(f"{rooms.__name__}.{name}"), "STATION", None) for name in names]
    return [make() for make in makers if make is not None]
