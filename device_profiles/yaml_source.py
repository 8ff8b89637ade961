"""A YAML file with the place of everything in it.

Plain data only (no tags, no aliases that could explode), a key that stands twice is a finding and not silently the last
one, and a quote that is never closed is reported where it opens. `validate` brings data and a pydantic model together
and turns every pydantic error into a finding at its place.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from device_profiles import yaml_syntax
from device_profiles.findings import Finding, Severity, in_order, is_secret, is_slip, nearest

FILE_BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 32

# Of a finding's params, those that may stand beside a secret: they are ours, not the file's.
_OURS: Final = frozenset({"line", "limit", "expected", "tag", "pattern"})

Loc = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


@dataclass(slots=True)
class Source:
    """A loaded file. data: plain Python; keys, values: where each stands, (line, column) from 1."""

    path: Path
    lines: list[str]
    data: Any = None
    keys: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    values: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    # Line, from 0: the column, from 0, from which on it is not shown.
    _hidden: dict[int, int] = field(default_factory=dict)

    def finding(
        self,
        loc: Loc,
        code: str,
        *,
        at_key: bool = False,
        severity: Severity = Severity.ERROR,
        params: Mapping[str, object] = MappingProxyType({}),
        place: tuple[int, int] | None = None,
    ) -> Finding:
        """A finding at a place of this file. params: for its text; an empty `nearest` is left out."""
        line, column = place or self.where(loc, at_key=at_key)
        told = {name: str(value) for name, value in params.items() if name != "nearest" or value}
        if any(map(is_secret, loc[:-1])):
            told = {name: value if name in _OURS else "…" for name, value in told.items() if name != "nearest"}
        return Finding(
            path=self.path,
            line=line,
            column=column,
            code=code,
            params=told,
            severity=severity,
            excerpt=self._excerpt(line),
        )

    def hide(self, key: yaml.Node, value: yaml.Node) -> None:
        """Show nothing of a value, whatever else stands in its lines."""
        first, column = max((value.start_mark.line, value.start_mark.column), (key.end_mark.line, key.end_mark.column))
        self._hide(first, column)
        last, column = value.end_mark.line, value.end_mark.column
        for line in range(first + 1, min(last + 1, len(self.lines))):
            # A block ends where the next one begins.
            if line < last or self.lines[line][:column].strip():
                self._hide(line, yaml_syntax.depth_of(self.lines[line]))

    def hide_alias(self, loc: Loc) -> None:
        """Show no name of an anchor: it may stand beside a secret, and a password may begin with a star."""
        line, _ = self.where(loc)
        star = self.lines[line - 1].find("*")
        if star >= 0:
            self._hide(line - 1, star)

    def _hide(self, line: int, column: int) -> None:
        self._hidden[line] = min(column, self._hidden.get(line, column))

    def _excerpt(self, line: int) -> str:
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        hidden_from = self._hidden.get(line - 1)
        return text if hidden_from is None else text[:hidden_from] + "…"

    def where(self, loc: Loc, *, at_key: bool = False) -> tuple[int, int]:
        """The place of the value at loc, or of its key; of the nearest parent when loc itself is not in the file."""
        places = (self.keys, self.values) if at_key else (self.values, self.keys)
        for end in range(len(loc), -1, -1):
            for place in places:
                if loc[:end] in place:
                    line, column = place[loc[:end]]
                    # libyaml takes a byte order mark inside a file for the end of a line, which an editor does not.
                    return min(line, max(len(self.lines), 1)), column
        return 1, 1

    def keys_at(self, loc: Loc) -> list[str]:
        """The keys of the mapping at loc."""
        value = self.value_at(loc)
        return [str(key) for key in value] if isinstance(value, dict) else []

    def value_at(self, loc: Loc) -> Any:  # noqa: ANN401  foreign YAML
        """What stands at loc; None when nothing does."""
        value = self.data
        for part in loc:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def load(path: Path) -> Source:
    """Read a file. Whatever is wrong with it stands in `findings`; `data` is then as far as it could be read."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        source = Source(path, [])
        source.findings.append(source.finding((), "absent", params={"folder": path.parent.absolute()}))
        return source
    except OSError as error:
        source = Source(path, [])
        source.findings.append(source.finding((), "unreadable", params={"cause": error.strerror or str(error)}))
        return source
    return parse(path, raw)


def parse(path: Path, raw: bytes) -> Source:
    """As `load`, from bytes."""
    text = raw[: FILE_BYTES_MAX + 1].decode("utf-8", "replace")
    source = Source(path, yaml_syntax.LINE_END.split(text))
    if len(raw) > FILE_BYTES_MAX:
        source.findings.append(source.finding((), "file_too_large", params={"limit": FILE_BYTES_MAX}))
        return source
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place = yaml_syntax.place(raw[: error.start].decode("utf-8"))
        source.findings.append(_broken(source, place, "not_utf8"))
        return source
    try:
        node = yaml_syntax.compose(text)
    except yaml.YAMLError as error:
        line, column, problem = yaml_syntax.locate(text, error)
        place = min(line, len(source.lines)), column
        source.findings.append(_broken(source, place, "syntax", problem=problem))
        return source
    except RecursionError:
        source.findings.append(source.finding((), "too_deep", params={"limit": DEPTH_MAX}))
        return source
    if node is None:
        source.findings.append(source.finding((), "empty"))
        return source
    source.data = _Builder(source).build(node, ())
    if source.data is None and not source.findings:
        source.findings.append(source.finding((), "empty"))
    return source


def _broken(source: Source, place: tuple[int, int], code: str, **params: str) -> Finding:
    finding = source.finding((), code, params=params, place=place)
    return replace(finding, excerpt=yaml_syntax.excerpt(source.lines, place[0]))


def _start(node: yaml.Node) -> tuple[int, int]:
    """Line and column from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


# A scalar that its own tag or form makes unreadable; None is a value.
_UNREADABLE: Final = object()


_YAML_TAG: Final = "tag:yaml.org,2002:"
_TAG_NAMES: Final = frozenset({"null", "bool", "int", "float", "binary", "timestamp", "str", "map", "seq", "merge"})


class _Builder:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._seen: set[int] = set()
        self._constructor = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, loc: Loc) -> Any:  # noqa: ANN401  foreign YAML
        # A node met twice came through an alias and stands elsewhere; what is copied by reference cannot be pointed at.
        if id(node) in self._seen:
            self._source.hide_alias(loc)
            self._find(loc, "alias")
            return None
        self._seen.add(id(node))
        self._source.values[loc] = _start(node)
        if len(loc) > DEPTH_MAX:
            self._find(loc, "too_deep", limit=DEPTH_MAX)
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, loc)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*loc, index)) for index, item in enumerate(node.value)]
        return self._mapping(node, loc)

    def _mapping(self, node: yaml.Node, loc: Loc) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self._constructed(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str | int | bool):
                self._find(loc, "bad_key", place=_start(key_node))
                continue
            inner = (*loc, key)
            if is_secret(key):
                self._source.hide(key_node, value_node)
            if key in result:
                line, _ = self._source.keys[inner]
                self._find(inner, "duplicate_key", place=_start(key_node), key=key, line=line)
                continue
            self._source.keys[inner] = _start(key_node)
            result[key] = self.build(value_node, inner)
        return result

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Any:  # noqa: ANN401  foreign YAML
        value = self._constructed(node)
        if value is _UNREADABLE:
            # A tag that YAML does not have may be anything, a secret that begins with `!` too.
            name = node.tag.removeprefix(_YAML_TAG)
            self._find(loc, "bad_scalar", tag=f"!!{name}" if name in _TAG_NAMES else "!…")
            return None
        return value

    def _constructed(self, node: yaml.ScalarNode) -> Any:  # noqa: ANN401  foreign YAML
        try:
            return self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError, ArithmeticError, AttributeError):
            # `!!int ""`, `!!bool maybe`: under an explicit tag PyYAML lets out whatever it stumbles over.
            return _UNREADABLE

    def _find(self, loc: Loc, code: str, *, place: tuple[int, int] | None = None, **params: str | int) -> None:
        self._source.findings.append(self._source.finding(loc, code, params=params, place=place))


# --- pydantic -----------------------------------------------------------------------------------------

_TYPES: Final = {
    "string": "text",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "list",
    "tuple": "list",
    "dict": "mapping",
    "model": "mapping",
    "mapping": "mapping",
    "set": "list",
    "frozen_set": "list",
    "path": "text",
    "dataclass": "mapping",
}
_BOUNDS: Final = {
    "greater_than": ("too_small_exclusive", "gt"),
    "greater_than_equal": ("too_small", "ge"),
    "less_than": ("too_large_exclusive", "lt"),
    "less_than_equal": ("too_large", "le"),
    "string_too_short": ("too_short", "min_length"),
    "string_too_long": ("too_long", "max_length"),
    "too_short": ("too_few", "min_length"),
    "too_long": ("too_many", "max_length"),
}


def validate(source: Source, model: type[M]) -> tuple[M | None, list[Finding]]:
    """The typed content, or None when something is wrong; and everything that is wrong, in the file's order."""
    findings = list(source.findings)
    if source.data is None:
        return None, in_order(findings)
    if not isinstance(source.data, dict):
        findings.append(source.finding((), "wrong_type", params={"expected": "mapping"}))
        return None, in_order(findings)
    try:
        content = model.model_validate(source.data)
    except ValidationError as error:
        findings += from_pydantic(source, model, error)
        return None, in_order(findings)
    return (None if findings else content), in_order(findings)


def from_pydantic(source: Source, model: type[BaseModel], error: ValidationError, base: Loc = ()) -> list[Finding]:
    """One finding for each mistake; base: where in the file the model's data begins."""
    found: dict[tuple[int, int, str], Finding] = {}
    all_details = [one for one in error.errors(include_url=False, include_input=True) if not _only_lost_items(one)]
    findings = [_one(source, model, details, base) for details in all_details]
    parents = [details["loc"][:-1] for details in all_details]
    mistyped = {(parent, _slip(finding)) for parent, finding in zip(parents, findings, strict=True)}
    for parent, finding in zip(parents, findings, strict=True):
        missing = finding.params["key"] if finding.code == "missing_key" else ""
        # `prot` for `port` is one mistake: an unknown key, whose place is also where the right one is missing.
        if not missing or (parent, missing) not in mistyped:
            # The members of a union each say what they would have liked; the first stands for all.
            found.setdefault((finding.line, finding.column, missing), finding)
    return list(found.values())


def _slip(finding: Finding) -> str | None:
    """The key that an unknown one was surely meant to be."""
    key, near = finding.params.get("key", ""), finding.params.get("nearest", "")
    return near if finding.code == "unknown_key" and is_slip(key, near) else None


def _only_lost_items(details: ErrorDetails) -> bool:
    """Whether a list is too short only because its bad items, told by themselves, were not counted."""
    given, needed = details["input"], details.get("ctx", {}).get("min_length", 0)
    return details["type"] == "too_short" and isinstance(given, list) and len(given) >= needed


def _one(source: Source, model: type[BaseModel], details: ErrorDetails, base: Loc) -> Finding:
    loc = base + _real(source, base, details["loc"])
    kind, context = details["type"], details.get("ctx", {})
    if kind in {"extra_forbidden", "invalid_key"}:
        known = _known_keys(model, details["loc"][:-1])
        taken = source.keys_at(loc[:-1])
        free = [name for name in known if name not in taken]
        params: dict[str, object] = {"key": loc[-1], "nearest": nearest(str(loc[-1]), free or known)}
        return source.finding(loc, "unknown_key", at_key=True, params=params)
    if kind == "missing":
        return source.finding(loc, "missing_key", params={"key": details["loc"][-1]})
    if kind == "union_tag_not_found":
        return source.finding(loc, "missing_key", params={"key": str(context["discriminator"]).strip("'")})
    if kind == "union_tag_invalid":
        loc = (*loc, str(context["discriminator"]).strip("'"))
    if kind in {"literal_error", "enum", "union_tag_invalid"}:
        expected = str(context.get("expected", context.get("expected_tags", "")))
        expected = expected.replace("'", "").replace(" or ", ", ")
        options = [option.strip() for option in expected.split(",")]
        given = context.get("tag", details["input"])
        value = "…" if any(map(is_secret, loc)) else str(given)
        params = {"value": value, "expected": expected, "nearest": nearest(value, options)}
        return source.finding(loc, "not_one_of", params=params)
    if kind in _BOUNDS:
        code, name = _BOUNDS[kind]
        return source.finding(loc, code, params={"limit": context.get(name, "")})
    if kind in {"finite_number", "int_parsing_size"}:
        return source.finding(loc, "unusable_number")
    if kind == "string_pattern_mismatch":
        return source.finding(loc, "pattern", params={"pattern": context.get("pattern", "")})
    stem = kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float")
    if stem in _TYPES:
        return source.finding(loc, "wrong_type", params={"expected": _TYPES[stem]})
    if kind.startswith("finding."):
        return source.finding(loc, kind.removeprefix("finding."), params=context)
    return source.finding(loc, "invalid", params={"detail": details["msg"]})


def _real(source: Source, base: Loc, loc: Sequence[str | int]) -> Loc:
    """The part of a pydantic location that stands in the file: it names members of unions, too."""
    real: list[str | int] = []
    for index, part in enumerate(loc):
        here = source.value_at((*base, *real))
        is_there = (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        )
        if is_there:
            real.append(part)
        elif index == len(loc) - 1 and isinstance(here, dict):
            break
    return tuple(real)


def _known_keys(model: type[BaseModel], loc: Iterable[str | int]) -> list[str]:
    current: list[type[BaseModel]] = [model]
    for part in loc:
        inner: list[type[BaseModel]] = []
        for one in current:
            info = one.model_fields.get(str(part)) if isinstance(part, str) else None
            if info is not None:
                inner += _models_in(info.annotation)
            elif part in _tags(one):
                # pydantic names the member of a union by its tag; the file has no such step.
                inner.append(one)
        current = inner or current
    return [info.alias or name for one in current for name, info in one.model_fields.items()]


def _tags(model: type[BaseModel]) -> tuple[object, ...]:
    info = model.model_fields.get("kind")
    return () if info is None else get_args(info.annotation)


def _models_in(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401  typing's own forms
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
