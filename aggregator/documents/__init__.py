"""Documents for boxes: securing state. They never expire, the newest version wins, and the box says what it has.

`archive` keeps every version (`documents.sqlite`), `courier` sends a box what it lacks until the box says it has it.
"""

from aggregator.documents.archive import Archive, Document, DocumentHead, DocumentMalformed, UnknownDocument
from aggregator.documents.courier import Courier

__all__ = ["Archive", "Courier", "Document", "DocumentHead", "DocumentMalformed", "UnknownDocument"]
