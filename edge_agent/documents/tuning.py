"""`tuning` on this box: a document that names a device we do not have is refused whole. See wire.documents."""

from collections.abc import Callable, Collection

from edge_agent.documents.cabinet import DocumentKind, DocumentRefused
from wire.documents import TUNING, Tuning, read_tuning
from wire.errors import Malformed


def tuning_kind(devices: Collection[str], put_in_force: Callable[[Tuning], None]) -> DocumentKind:
    """The kind. devices: names within this box."""
    known = frozenset(devices)

    def parse(body: bytes) -> Tuning:
        try:
            tuning = read_tuning(body)
        except Malformed as error:
            raise DocumentRefused(str(error)) from None
        unknown = sorted(tuning.devices.keys() - known)
        if unknown:
            raise DocumentRefused(f"no device {unknown[0]!r:.70} on this box")
        return tuning

    return DocumentKind(TUNING, parse, put_in_force)
