"""Limits of a request that are settings, checked here and written into the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embstore.errors import InvalidInput
from embstore.service.options import ServeOptions


def check_texts(texts: Sequence[str], options: ServeOptions) -> None:
    """Refuse more texts, or longer ones, than a request may have.

    Raises
    ------
    InvalidInput
        With both numbers.
    """
    if len(texts) > options.max_texts:
        raise InvalidInput(
            f"The request has {len(texts)} texts.",
            why=f"A request has at most {options.max_texts}.",
            fix=f"ask in parts of {options.max_texts}",
        )
    longest = max(map(len, texts))
    if longest > options.max_characters:
        raise InvalidInput(
            f"A text has {longest:,} characters.",
            why=f"A text has at most {options.max_characters:,}.",
            fix="cut it; an encoder reads the first few hundred words alone",
        )


def check_k(k: int, options: ServeOptions) -> None:
    """Refuse more neighbors than an answer may have; raises `InvalidInput`."""
    if k > options.max_k:
        raise InvalidInput(
            f"k is {k}.",
            why=f"An answer has at most {options.max_k:,} neighbors.",
            fix=f'"k": {options.max_k}',
        )


def check_dim(dim: int, expected: int) -> None:
    """Refuse an embedding, or a wish for one, of another length than the store's; raises `InvalidInput`."""
    if dim != expected:
        raise InvalidInput(
            f"An embedding of {dim} numbers does not fit.", why=f"Those of this store have {expected}."
        )


def describe(schema: dict[str, Any], options: ServeOptions, dim: int | None) -> dict[str, Any]:
    """Write the limits into an OpenAPI document, which is changed and returned.

    Parameters
    ----------
    schema : dict
        As FastAPI makes it.
    options : ServeOptions
        The limits.
    dim : int or None
        Length of the store's embeddings; None where no store is open.
    """
    models = schema["components"]["schemas"]
    text, texts = {"maxLength": options.max_characters}, {"maxItems": options.max_texts}
    for name in ("TextSearch", "EmbeddingSearch", "IdSearch"):
        models[name]["properties"]["k"]["maximum"] = options.max_k
    models["TextSearch"]["properties"]["text"] |= text
    models["ClassifyRequest"]["properties"]["evidence"]["maximum"] = options.max_k
    for field in (
        models["ClassifyRequest"]["properties"]["texts"],
        models["EmbeddingsRequest"]["properties"]["input"]["anyOf"][1],
    ):
        field.update(texts)
        field["items"] |= text
    models["EmbeddingsRequest"]["properties"]["input"]["anyOf"][0] |= text
    embedding = models["EmbeddingSearch"]["properties"]["embedding"]
    embedding["contains"] = {"not": {"const": 0}}
    if dim is not None:
        embedding |= {"minItems": dim, "maxItems": dim}
        wished = models["EmbeddingsRequest"]["properties"]["dimensions"]["anyOf"][0]
        wished |= {"minimum": dim, "maximum": dim}
    for parameter in schema["paths"]["/v1/records/{record_id}/neighbors"]["get"]["parameters"]:
        if parameter["name"] == "k":
            parameter["schema"]["maximum"] = options.max_k
    return schema
