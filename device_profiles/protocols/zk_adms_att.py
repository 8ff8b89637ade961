"""ZKTeco attendance push: what its terminals say, in the words of `edge_agent/codecs/zk_adms_att.py`."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from device_profiles.protocols import MEASURE, WHOLE, FieldType, ProtocolModel, StrictModel


class Address(StrictModel):
    """serial: `SN`, as it stands in the terminal's menu and on its back."""

    serial: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Attributes(StrictModel):
    """command: what the terminal is told; argument: the key under which a resource's value goes with it.

    The list is short on purpose: no commands of the operating system, no files, no people, nothing that clears.
    """

    command: Literal["AC_UNLOCK", "LOG", "CHECK", "DATA QUERY ATTLOG"]
    argument: Literal["StartTime", "EndTime"] | None = None


def _key(address: BaseModel) -> str:
    return Address.model_validate(address).serial


_FIELDS: Final[Mapping[str, FieldType]] = {
    "status": WHOLE,  # 0 in, 1 out, 2 break out, 3 break in, 4 overtime in, 5 overtime out
    "verify": WHOLE,  # 1 finger, 2 number, 3 password, 4 card, 15 face, 25 palm, …
    "work_code": WHOLE,
    "mask": WHOLE,  # 1 worn
    "temperature": MEASURE,  # degrees Celsius
    "operation": WHOLE,  # type of an OPLOG row
    "alarm_reason": WHOLE,  # of operations 3 and 55: 50 closed, 51 opened, 53 button, 54 forced, 55 tampered, …
}

PROTOCOL: Final = ProtocolModel(
    name="zk-adms-att",
    transports=frozenset({"http-push"}),
    messages={
        "attlog": frozenset({"status", "verify", "work_code", "mask", "temperature"}),
        "oplog": frozenset({"operation", "alarm_reason"}),
    },
    fields=_FIELDS,
    address=Address,
    address_key=_key,
    attributes=Attributes,
)
