"""The golden cases of this folder: `<protocol>/<case>/`, played by edge_agent.cases. A case is added without code."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_profiles.catalogue import load_catalogue
from device_profiles.model import DeviceProfile
from edge_agent.cases import CASES_KEY, Player, payload_of, profile_of
from edge_agent.codecs import Codec, codec
from wire.identity import Pseudonymiser

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    folder: Path

    def __str__(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def protocol(self) -> str:
        return self.folder.parent.name.replace("_", "-")

    def profile(self) -> DeviceProfile:
        """The one that the folder names, so that a second profile of a protocol disturbs no case of the first."""
        name = profile_of(self.folder)
        assert name is not None, f"{self}: a file `profile` says whose case it is"
        return load_catalogue(()).profiles[name]

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "messages.jsonl").read_text(encoding="utf-8").splitlines()]

    def messages(self) -> list[dict[str, Any]]:
        """What the codec makes of it, as JSON."""
        player = Player(codec(self.protocol, Codec), self.profile(), Pseudonymiser(CASES_KEY), reveal=True)
        return [one["message"] for row in self.rows() for one in player.play(row)["decoded"] if "message" in one]

    def mqtt_messages(self) -> list[tuple[str, bytes]]:
        return [(row["topic"], payload_of(row)) for row in self.rows()]


def all_cases(protocol: str = "*") -> list[Case]:
    return [Case(path.parent) for path in sorted(HERE.glob(f"{protocol}/*/messages.jsonl"))]
