"""The HTTP interface: thin routers over ledger, registry and office. Every route asks `guard.require` first."""

from aggregator.api.app import create_app

__all__ = ["create_app"]
