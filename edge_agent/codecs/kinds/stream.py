"""Protocols whose devices answer one HTTP request for ever, with a part for each thing they say. Such devices say a
state again as long as it lasts, every second or so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from edge_agent.codecs import Codec
from edge_agent.codecs.kinds.standing import Standing
from edge_agent.message import Discard, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCodec(Codec):
    """path: what is asked for. media_types: of the parts that are wanted -> the text that ends such a document, empty
    when there is none. decode: media type, body -> what it says. standing: of a record; None: no state, taken each
    time.
    """

    wire: ClassVar[str] = "stream"

    path: str
    media_types: Mapping[str, bytes]
    part_bytes_max: int
    decode: Callable[[str, bytes], Message | Discard]
    standing: Callable[[Message], Standing | None]
