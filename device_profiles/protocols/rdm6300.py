"""RDM6300 and its like on a serial line: what they say, in the words of `edge_agent/codecs/rdm6300.py`."""

from typing import Final

from device_profiles.protocols import OnlyOne, ProtocolModel, only_one

PROTOCOL: Final = ProtocolModel(
    name="rdm6300",
    transports=frozenset({"serial"}),
    messages={"tag": frozenset()},
    fields={},
    address=OnlyOne,
    address_key=only_one,
)
