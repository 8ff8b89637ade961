"""Golden cases: what a device says, what the codec must make of it, and what a profile then means by it.

    <cases>/<protocol>/<case>/messages.jsonl   one thing a device says a line, as its wire writes it (see the modules)
    <cases>/<protocol>/<case>/expected.json    one entry a line: {"decoded": […], "events": […]}
    <cases>/<protocol>/<case>/README.md        where it comes from
    <cases>/<protocol>/<case>/profile          whose case it is, by name; absent: any profile's of the protocol

A case needs no code. Its people are invented, so their numbers stand in it in clear. What a real device said is played
without `reveal` and with a key of the moment: a ref under a key that everybody has would give the number away.

Each wire has one module here, named by `Codec.wire`, that exposes `replay`.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from device_profiles.model import DeviceProfile
from edge_agent.codecs import Codec, Decoded, codec
from edge_agent.message import Discard, Message, Secret
from edge_agent.showing import hidden, meant, shown_message
from edge_agent.translate import DeviceInfo
from wire.identity import Pseudonymiser

DEVICE: Final = "gate-1/face-1"
ZONE: Final = "Asia/Shanghai"
# Not a secret: the refs in expected.json are made with it, and no campus has it.
CASES_KEY: Final = b"golden cases of tests only......"


class Heard(NamedTuple):
    """One thing decoded, and what the device is told once it is committed, as JSON."""

    decoded: Decoded
    told: Sequence[Any] = ()


# Of a codec: what one line of messages.jsonl comes to. It may remember the lines before (a serial line does).
Replay = Callable[[Mapping[str, Any]], Sequence[Heard]]


@dataclass(frozen=True, slots=True)
class Played:
    """One case, played. diff: lines, expected against given; empty when they agree. written: nothing was expected, and
    now what was given is, for a person to read.
    """

    name: str
    diff: tuple[str, ...] = ()
    written: bool = False


class BadCase(ValueError):
    """A case's own files cannot be read; names the file and the line."""


def case_folders(cases: Path, profile: DeviceProfile) -> list[Path]:
    """The cases of a profile, sorted by name. cases: the folder that holds one folder for each protocol."""
    folder = cases / profile.protocol.replace("-", "_")
    found = sorted(path.parent for path in folder.glob("*/messages.jsonl"))
    return [case for case in found if profile_of(case) in {profile.name, None}]


def profile_of(case: Path) -> str | None:
    """Whose case it is, if it says so."""
    try:
        return (case / "profile").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None


def play(profile: DeviceProfile, folder: Path, *, write: bool = False) -> Played:
    """Play one case. write: when nothing is expected yet, expect what comes.

    Raises BadCase; LookupError when the profile's protocol has no codec.
    """
    player = Player(codec(profile.protocol, Codec), profile, Pseudonymiser(CASES_KEY), reveal=True)
    given = player.play_file(folder / "messages.jsonl")
    path = folder / "expected.json"
    try:
        if write and not path.exists():
            path.write_text(json.dumps(given, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            return Played(folder.name, written=True)
        expected = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadCase(f"{path}: {error}") from None
    diff = difflib.unified_diff(_lines(expected), _lines(given), "expected", "given", lineterm="")
    return Played(folder.name, tuple(diff))


class Player:
    """Says what a device's words become. reveal: show the numbers of people and cards in clear; zone: of its clock."""

    def __init__(
        self,
        spec: Codec,
        profile: DeviceProfile,
        pseudonymiser: Pseudonymiser,
        *,
        reveal: bool = False,
        zone: str = ZONE,
    ) -> None:
        self._spec = spec
        self._profile = profile
        self._pseudonymiser = pseudonymiser
        self._reveal = reveal
        self._zone = zone
        make: Callable[[Codec, DeviceProfile], Replay] = import_module(f"{__name__}.{spec.wire}").replay
        self._replay = make(spec, profile)

    def play_file(self, path: Path) -> list[dict[str, Any]]:
        """Every line of a messages.jsonl. Raises BadCase."""
        played = []
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise BadCase(f"{path}: {error}") from None
        for number, line in enumerate(lines, start=1):
            try:
                played.append(self.play(json.loads(line)))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise BadCase(f"{path}:{number}: {error!r}") from None
        return played

    def play(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """One line: decoded, and the records of the profile without id and stamp."""
        heard = self._replay(row)
        return {
            "decoded": [self._shown(one) for one in heard],
            "events": [event for one in heard for event in self._events(one.decoded)],
        }

    def _shown(self, heard: Heard) -> dict[str, Any]:
        address, content = heard.decoded
        if isinstance(content, Discard):
            return {"address": address, "discard": content.reason}
        return {"address": address, "message": shown_message(content, self._number), "told": list(heard.told)}

    def _number(self, secret: Secret) -> str:
        return secret.reveal() if self._reveal else hidden(secret)

    def _events(self, decoded: Decoded) -> Iterator[dict[str, Any]]:
        if isinstance(decoded.content, Message):
            info = DeviceInfo(DEVICE, self._zone)
            yield from meant(self._spec, self._profile, info, decoded.content, self._pseudonymiser)


def payload_of(row: Mapping[str, Any]) -> bytes:
    """The bytes of a line: "hex", "text" (ASCII) or "payload" (JSON, sent as UTF-8)."""
    if "hex" in row:
        return bytes.fromhex(row["hex"])
    if "text" in row:
        return str(row["text"]).encode("ascii")
    return json.dumps(row["payload"], ensure_ascii=False).encode()


def _lines(document: object) -> list[str]:
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True).splitlines()
