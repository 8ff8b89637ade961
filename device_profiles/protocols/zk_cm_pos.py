"""ZKTeco consumption push: what canteen terminals say, in the words of `edge_agent/codecs/zk_cm_pos.py`."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from device_profiles.protocols import WHOLE, FieldType, ProtocolModel, StrictModel


class Address(StrictModel):
    """serial: `SN`, as it stands in the terminal's menu and on its back."""

    serial: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Attributes(StrictModel):
    """command: what the terminal is told; argument: the key under which a resource's value goes with it.

    The list is short on purpose: nothing that changes a purse, a list of cards or a price, and nothing that clears.
    """

    command: Literal["CHECK ALL", "SYNC POSLOG", "SYNC FULLLOG", "SYNC ALLOWLOG"]
    argument: Literal["START", "END"] | None = None


def _key(address: BaseModel) -> str:
    return Address.model_validate(address).serial


_FIELDS: Final[Mapping[str, FieldType]] = {
    "code": WHOLE,  # buylog: 9 takes a sale back, 4 is counted; fulllog: 0 charged, 1 paid out, 2 bonus
    "amount_fen": WHOLE,
    "balance_fen": WHOLE,  # after it
    "sub_amount_fen": WHOLE,  # of the second purse
    "sub_balance_fen": WHOLE,
    "card_seq": WHOLE,  # the card's own count of its movements
    "meal": WHOLE,
}
_MOVEMENT: Final = frozenset({"code", "amount_fen", "balance_fen", "card_seq"})

PROTOCOL: Final = ProtocolModel(
    name="zk-cm-pos",
    transports=frozenset({"http-push"}),
    messages={"buylog": frozenset(_FIELDS), "fulllog": _MOVEMENT, "allowlog": _MOVEMENT},
    fields=_FIELDS,
    address=Address,
    address_key=_key,
    attributes=Attributes,
)
