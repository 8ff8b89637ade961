"""The sample files, found by name."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "v1"


def record_lines(kind: str | None = None) -> list[bytes]:
    """Stored records, of one kind or all."""
    paths = sorted((FOLDER / "records").glob(f"{kind or '*'}.jsonl"))
    return [line for path in paths for line in path.read_bytes().splitlines()]


@dataclass(frozen=True, slots=True)
class FrameSample:
    """One message as frames. payload: its lines, without the two leading bytes of a frame."""

    kind: str
    name: str
    payload: bytes
    plain: bytes
    zstd: bytes

    def __str__(self) -> str:
        return self.name


def frame_samples() -> list[FrameSample]:
    """All frames."""
    return [
        FrameSample(
            kind=path.name.partition(".")[0],
            name=path.stem,
            payload=path.read_bytes().removesuffix(b"\n"),
            plain=bytes.fromhex(path.with_suffix(".plain.hex").read_text()),
            zstd=bytes.fromhex(path.with_suffix(".zstd.hex").read_text()),
        )
        for path in sorted((FOLDER / "frames").glob("*.txt"))
    ]
