"""What requests and answers hold; the OpenAPI document is made of these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

# A text of nothing but white space has nothing to embed. Python counts four separators and the next line as
# white space that regular expressions do not.
_NOT_BLANK = r"[^\s\x1c-\x1f\x85]"
Text = Annotated[str, Field(min_length=1, pattern=_NOT_BLANK)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=1000)]


def _whole(value: Any) -> Any:
    # To JSON 10.0 is the integer 10; true is none.
    return int(value) if isinstance(value, float) and value.is_integer() else value


# The bound first: after a validator it would be missing from the schema.
Neighbors = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
NoneOrMore = Annotated[int, Field(ge=0), BeforeValidator(_whole)]


class Strict(BaseModel):
    """A request's body: no unknown field, no text where a number is due."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Filters(Strict):
    """Which records may be neighbors, and how many are returned."""

    k: Neighbors = 10
    split: Name | None = None
    label: Name | None = None


class TextSearch(Filters):
    """Neighbors of a text."""

    text: Text


class EmbeddingSearch(Filters):
    """Neighbors of an embedding of the store's encoder; it need not be of unit length."""

    embedding: list[Number]


class IdSearch(Filters):
    """Neighbors of a stored record, itself left out."""

    id: Name


def _kind(body: Any) -> str | None:
    named = [name for name in ("text", "embedding", "id") if isinstance(body, dict) and name in body]
    return named[0] if len(named) == 1 else None


SearchRequest = Annotated[
    Annotated[TextSearch, Tag("text")]
    | Annotated[EmbeddingSearch, Tag("embedding")]
    | Annotated[IdSearch, Tag("id")],
    Discriminator(
        _kind,
        custom_error_type="one_query",
        custom_error_message="Give exactly one of text, embedding and id",
    ),
]


class NeighborQuery(BaseModel):
    """Query parameters of a record's neighbors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    k: Neighbors = 10
    split: Name | None = None
    label: Name | None = None


class ClassifyRequest(Strict):
    """Texts to classify, by the named head or by the one fitted last."""

    texts: Annotated[list[Text], Field(min_length=1)]
    head: Name | None = None
    evidence: NoneOrMore = 3


class EmbeddingsRequest(Strict):
    """Texts to embed, in the shape of OpenAI's API."""

    input: Text | Annotated[list[Text], Field(min_length=1)]
    model: Name
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Neighbors | None = None
    user: Annotated[str, Field(max_length=1000)] | None = None


class RecordAnswer(BaseModel):
    """A stored record."""

    id: str
    split: str
    label: str | None
    text: str
    extra: dict[str, Any]


class NeighborAnswer(BaseModel):
    """A record and its cosine to the query, in [-1, 1]."""

    rank: int
    similarity: float
    id: str
    split: str
    label: str | None
    text: str


class SearchAnswer(BaseModel):
    """Neighbors, most similar first; ``generation`` numbers the state of the store that they come from.

    ``recall`` is the share of the nearest that such searches find, measured when the index was built; 1 where
    the answer is exact.
    """

    store: str
    generation: int
    exact: bool
    recall: float
    neighbors: list[NeighborAnswer]


class Evidence(BaseModel):
    """A training text that speaks for a label."""

    similarity: float
    id: str
    label: str | None
    text: str


class TextAnswer(BaseModel):
    """What a head says of one text."""

    label: str
    probability: float
    runner_up: str
    runner_up_probability: float
    abstain: bool
    truncated: bool
    probabilities: dict[str, float]
    evidence: list[Evidence]


class ClassifyAnswer(BaseModel):
    """Answers in the order of the texts."""

    store: str
    generation: int
    head: str
    note: str
    answers: list[TextAnswer]


class EmbeddingAnswer(BaseModel):
    """One embedding: numbers, or the base64 of their little-endian float32 bytes."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens that were read, special ones included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """Embeddings in the order of the input."""

    object: Literal["list"] = "list"
    data: list[EmbeddingAnswer]
    model: str
    usage: Usage


class Count(BaseModel):
    """A split or a label, and how many records have it."""

    name: str
    n: int


class HeadFacts(BaseModel):
    """A head of a store."""

    name: str
    kind: str
    split: str
    classes: list[str]
    threshold: float
    note: str


class EncoderFacts(BaseModel):
    """The encoder of a store."""

    model: str
    pooling: str
    max_length: int | None
    fingerprint: str


class IndexFacts(BaseModel):
    """The index of a store; ``problem`` says why it is not used, or is empty."""

    generation: int
    kind: str
    recall: float
    problem: str


class StoreFacts(BaseModel):
    """A store that is served; ``content`` is another where records, labels or encoder are."""

    name: str
    dataset: str
    n: int
    dim: int
    splits: list[Count]
    labels: list[Count]
    unlabelled: int
    heads: list[HeadFacts]
    head_problems: dict[str, str]
    encoder: EncoderFacts
    index: IndexFacts
    generation: int
    content: str


class StoresAnswer(BaseModel):
    """The stores that are served."""

    stores: list[StoreFacts]


class MakingAnswer(BaseModel):
    """A report is being made; it is worth asking again after the seconds of ``Retry-After``."""

    what: str
    why: str


class ProblemAnswer(BaseModel):
    """An RFC 9457 problem document; ``type`` is stable."""

    type: str
    title: str
    status: int
    detail: str
    what: str
    why: str
    fix: str
    errors: list[dict[str, str]] | None = None
