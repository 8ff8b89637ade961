"""Pictures that show nobody: random bytes with a mark in them.

Every picture and every enlarged frame a simulated terminal sends carries the mark. A test that finds `CANARY` (as
text) or `CANARY_BYTES` (had somebody decoded the picture) in an outbox, a ledger, a log or an answer has found face
data where none may be.
"""

import base64
from typing import Final

from simulators.chance import seeded

CANARY: Final = "FacePictureMustNeverLeaveTheBox0"
CANARY_BYTES: Final = base64.b64decode(CANARY)

# JPEG's first three bytes are /9j/ in base64; four characters keep the mark aligned to a base64 group.
_HEAD: Final = f"data:image/jpeg;base64,/9j/{CANARY}"


def data_uri(name: str, bytes_max: int) -> str:
    """A data URI of about bytes_max characters, equal for equal names: a re-sent record carries the same picture."""
    filling = max(0, bytes_max - len(_HEAD)) * 3 // 4
    return _HEAD + base64.b64encode(seeded("picture", name).randbytes(filling)).decode()
