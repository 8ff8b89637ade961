"""A model for the tests of the YAML source, and what they ask of findings."""

import json
from pathlib import Path

from pydantic import Field

from device_profiles.findings import Finding
from device_profiles.protocols import StrictModel
from device_profiles.yaml_source import Source, parse
from wire.i18n import LANGUAGES, Texts

PATH = Path("some.yaml")


class Door(StrictModel):
    name: str
    relay: int = Field(ge=1, le=4)
    code: str | int | float = 0


class House(StrictModel):
    name: str
    password: str = ""
    kind: str = "house"
    doors: list[Door] = Field(default_factory=list)
    windows: tuple[str, ...] = Field(default=("one",), min_length=1, strict=False)


def parsed(text: str) -> Source:
    return parse(PATH, text.encode())


def found(findings: list[Finding]) -> list[tuple[str, int, int]]:
    return [(finding.code, finding.line, finding.column) for finding in findings]


def everything_printed(findings: list[Finding]) -> str:
    texts = [Texts(language) for language in LANGUAGES]
    printed = [finding.render(one) for finding in findings for one in texts]
    documents = [json.dumps(finding.as_document(one), ensure_ascii=False) for finding in findings for one in texts]
    return "\n".join([*printed, *documents])
