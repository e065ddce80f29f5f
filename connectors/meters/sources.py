"""The FILE of `sunshave meters`: which meters there are and how each is reached. All its errors at once, with paths."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from connectors.meters.fields import Fields
from connectors.meters.formats import FormatName
from connectors.meters.p1_telegram import Variant
from topology.documents import NotYaml, read_documents
from topology.location import Id


def _resolvable(host: str) -> str:
    """A name that the resolver would not even take ("a..b") must not stop the other meters when it is dialled."""
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"{host!r} is no host name") from None
    return host


Host = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\s/]+$"), AfterValidator(_resolvable)]
Port = Annotated[int, Field(ge=1, le=65535)]
Phases = Annotated[int, Field(ge=1, le=3)]
Topic = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^#+\x00]+$")]
"""A plain topic: with wildcards nobody would know which meter a message is from."""
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class _Source(BaseModel):
    """What all sources have. `every_s` is the shortest time between two readings that are given on (0 = all)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    location: Id
    meter: Id
    host: Host
    phases: Phases = 3
    every_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0


class P1Source(_Source):
    """A P1 port behind TCP: ser2net, or a dongle that serves the telegrams as they come."""

    type: Literal["p1-tcp"]
    port: Port
    variant: Variant

    @model_validator(mode="after")
    def _phases_are_told(self) -> P1Source:
        if self.variant == "dsmr2.2" and self.phases != 1:
            raise ValueError("a dsmr2.2 meter tells no phases; it can only be used with `phases: 1`")
        return self


class MqttSource(_Source):
    """A topic of an MQTT broker, in a known format or by a map of fields."""

    type: Literal["mqtt"]
    port: Port = 1883
    topic: Topic
    format: FormatName | None = None
    fields_: Annotated[Fields | None, Field(alias="fields")] = None
    username: Annotated[str, Field(max_length=1000)] | None = None
    password_env: EnvironmentName | None = None
    tls: bool = False

    @model_validator(mode="after")
    def _one_way_to_read_it(self) -> MqttSource:
        if (self.format is None) == (self.fields_ is None):
            raise ValueError("give either `format` or `fields`")
        if self.password_env is not None and self.username is None:
            raise ValueError("`password_env` without `username`")
        return self


Source = P1Source | MqttSource
_SOURCES: TypeAdapter[list[Source]] = TypeAdapter(list[Annotated[Source, Field(discriminator="type")]])


class SourcesRefused(ValueError):  # noqa: N818 -- an answer to the user, not a failure of ours
    """The FILE cannot be used; `problems` has every reason, each with its path in the file."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


def read_sources(path: Path) -> list[Source]:
    """The sources of a YAML file. SourcesRefused with every error; OSError when it cannot be read."""
    try:
        documents = read_documents(path)
    except NotYaml as problem:
        raise SourcesRefused([_printable(f"(document): not YAML: {problem}")]) from None
    return parse_sources(documents[0] if len(documents) == 1 else None)


def parse_sources(document: Any) -> list[Source]:
    """The sources of a parsed document. SourcesRefused with every error."""
    if not isinstance(document, list) or not document:
        raise SourcesRefused(["(document): a list of sources is needed, each with location, meter, type and host"])
    problems: list[str] = []
    sources: list[Source] = []
    try:
        sources = _SOURCES.validate_python(document)
    except ValidationError as refused:
        problems += [_sentence(error) for error in refused.errors(include_url=False, include_input=False)]
    problems += _used_twice(document)
    if problems:
        raise SourcesRefused(problems)
    return sources


def _used_twice(document: list[Any]) -> list[str]:
    """Two sources for one meter would answer each other's readings as old or doubled."""
    named = [(str(s.get("location")), str(s.get("meter"))) if isinstance(s, dict) else None for s in document]
    count = Counter(named)
    return [
        _printable(f"[{index}].meter: {name[0]}/{name[1]} has a source already, [{named.index(name)}]")
        for index, name in enumerate(named)
        if name is not None and count[name] > 1 and named.index(name) != index
    ]


def _sentence(error: Any) -> str:
    """`[0].port: Input should be less than or equal to 65535`. Never the value: it may be a secret in the wrong
    place."""
    path = ""
    for part in error["loc"]:
        if part not in ("p1-tcp", "mqtt"):  # the branch that pydantic took is not in the file
            path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return _printable(f"{path or '(document)'}: {str(error['msg']).removeprefix('Value error, ')}")


def _printable(text: str) -> str:
    """A file's keys and values are anybody's: no escape codes, and no second line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
