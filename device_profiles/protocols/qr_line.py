"""Code scanners on a serial line: what they say, in the words of `edge_agent/codecs/qr_line.py`."""

from typing import Final

from device_profiles.protocols import OnlyOne, ProtocolModel, only_one

PROTOCOL: Final = ProtocolModel(
    name="qr-line",
    transports=frozenset({"serial"}),
    messages={"code": frozenset()},
    fields={},
    address=OnlyOne,
    address_key=only_one,
)
