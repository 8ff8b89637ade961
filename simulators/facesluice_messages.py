"""What a FaceSluice terminal writes: names, JSON types and topics as in the integration notes and a captured RecPush.

RecordID, SnapID, VerifyStatus, PersonType, similarity1 and isNoMask are strings; Sendintime, PushType and
targetPosInScene are integers. A record's fields are made once and kept; number, time, picture and the two fields that
only a sending decides (Sendintime, PushType) are added when it is sent.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from simulators.device import Kept, Publish
from simulators.people import Person, Shown, Swipe, Verdict
from simulators.picture import data_uri

REC: Final = "rec"
SNAP: Final = "snap"
OPERATORS: Final = {REC: "RecPush", SNAP: "StrSnapPush"}
VERIFY_STATUS: Final = {Verdict.ALLOWED: "1", Verdict.REFUSED: "2", Verdict.UNREGISTERED: "3"}

AUTOMATIC: Final = 0
REPLAYED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalConfig:
    """What an installer would set on the device. Times in seconds; picture_bytes: size of a picture's data URI.

    resume: keep records until PushAck. window: records that may wait for their PushAck at one time.
    old_firmware: writes the key `persionName`. scene: sends the full frame too.
    """

    device_id: str
    name: str = "Terminal"
    prefix: str = "mqtt/face"
    qos: int = 1
    online_interval_s: float = 5.0
    heartbeat_interval_s: float = 60.0
    ack_wait_s: float = 10.0
    window: int = 1
    resume: bool = True
    old_firmware: bool = False
    picture_bytes: int = 2_000
    scene: bool = False

    def basic(self, operator: str, time: str) -> Publish:
        """`Online`, or `Offline` as the last will."""
        info = {
            "facesluiceId": self.device_id,
            "username": "admin",
            "time": time,
            "ip": "192.0.2.31",
            "facesname": self.name,
        }
        return self._publish("basic", operator, info)

    def heartbeat(self, time: str) -> Publish:
        """Sign of life; nobody answers it."""
        return self._publish("heartbeat", "HeartBeat", {"facesluiceId": self.device_id, "time": time})

    def reply(self, operator: str, message_id: object, fields: dict[str, object] | None) -> Publish:
        """The answer to a command; fields None: refused."""
        ok = fields is not None
        info = {"facesluiceId": self.device_id, "result": "ok" if ok else "fail", **(fields or {})}
        # 414 is the protocol's "parameter"; the notes name no code for an operator that a firmware lacks.
        reply = {
            "messageId": message_id,
            "operator": f"{operator}-Ack",
            "code": "200" if ok else "414",
            "info": info,
        }
        return Publish(f"{self.prefix}/{self.device_id}/Ack", encode(reply), self.qos)

    def said(self, operator: str, leaf: str, time: str, fields: dict[str, object]) -> Publish:
        """A push without number."""
        info = {"facesluiceId": self.device_id, "facesluiceName": self.name, "time": time, **fields}
        return self._publish(f"{self.device_id}/{leaf}", operator, info)

    def record(self, record: Kept, push_type: int, *, in_time: bool) -> Publish:
        """A record as it is sent now. in_time: within ten seconds of its capture."""
        series = record.key.series
        picture = f"{self.device_id}/{series}/{record.key.run}/{record.key.number}"
        info: dict[str, object] = {
            **record.fields,
            "SnapID" if series == SNAP else "RecordID": str(record.key.number),
            "time": record.device_time,
            "PushType": push_type,
            "pic": data_uri(picture, self.picture_bytes),
        }
        if series == REC:
            info["Sendintime"] = 1 if in_time else 0
        if self.scene:
            info["scene"] = data_uri(picture + "/scene", self.picture_bytes * 2)
        return self._publish(f"{self.device_id}/{'Snap' if series == SNAP else 'Rec'}", OPERATORS[series], info)

    def recognition(self, swipe: Swipe, person: Person | None, chance: random.Random) -> dict[str, object]:
        """The kept fields of a RecPush. Somebody enrolled at the device itself has no customId, only a personId."""
        known = person if swipe.verdict is not Verdict.UNREGISTERED else None
        return {
            "customId": known.site_id if known and known.enrolled_on_site else "",
            "personId": str(known.index + 1) if known else "",
            "VerifyStatus": VERIFY_STATUS[swipe.verdict],
            "PersonType": "0",
            "similarity1": f"{chance.uniform(80, 99):.6f}" if known else "0.000000",
            "persionName" if self.old_firmware else "personName": known.name if known else "",
            "facesluiceId": self.device_id,
            "facesluiceName": self.name,
            "idCard": known.resident_no if known else "",
            "telnum": known.phone if known else " ",
            "isNoMask": "0",
            "targetPosInScene": _box(chance),
            "direction": "entr" if swipe.direction == "in" else "exit",
            "otype": "1",
            "RFIDCard": person.card if person and swipe.shown is Shown.CARD else "",
        }

    def stranger(self, chance: random.Random) -> dict[str, object]:
        """The kept fields of a StrSnapPush."""
        return {"facesluiceId": self.device_id, "isNoMask": "0", "targetPosInScene": _box(chance)}

    def _publish(self, leaf: str, operator: str, info: Mapping[str, object]) -> Publish:
        return Publish(f"{self.prefix}/{leaf}", encode({"operator": operator, "info": info}), self.qos)


def encode(message: Mapping[str, object]) -> bytes:
    """JSON as the device writes it."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def integer(value: object) -> int:
    """Firmware and gateways write numbers as integers or as strings. -1 for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return -1


def _box(chance: random.Random) -> list[int]:
    left, top = chance.randrange(600), chance.randrange(200)
    return [left, top, left + chance.randrange(80, 260), top + chance.randrange(100, 320)]
