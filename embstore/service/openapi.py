"""The OpenAPI document: what FastAPI derives, and the limits, problems and keys that it cannot know of."""

from __future__ import annotations

from typing import Any

from embstore.service.keys import is_guarded
from embstore.service.options import ServeOptions
from embstore.service.problems import MEDIA_TYPE, RETRY_AFTER
from embstore.service.schemas import ProblemAnswer

_PROBLEM = "Problem"
_UNUSED = ("HTTPValidationError", "ValidationError")


def describe(document: dict[str, Any], options: ServeOptions, dim: int | None) -> dict[str, Any]:
    """Complete an OpenAPI document, which is changed and returned.

    Parameters
    ----------
    document : dict
        As FastAPI makes it.
    options : ServeOptions
        The limits.
    dim : int or None
        Length of the store's embeddings; None where no store is open.
    """
    models = document["components"]["schemas"]
    _limit_fields(models, options)
    if dim is not None:
        models["EmbeddingSearch"]["properties"]["embedding"].update(minItems=dim, maxItems=dim)
        models["EmbeddingsRequest"]["properties"]["dimensions"]["anyOf"][0].update(minimum=dim, maximum=dim)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(path, operation, options)
    for name in _UNUSED:
        models.pop(name, None)
    models[_PROBLEM] = ProblemAnswer.model_json_schema()
    if options.api_key_file is not None:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return document


def _limit_fields(models: dict[str, Any], options: ServeOptions) -> None:
    text, texts = {"maxLength": options.max_characters}, {"maxItems": options.max_texts}
    for name in ("TextSearch", "EmbeddingSearch", "IdSearch"):
        models[name]["properties"]["k"]["maximum"] = options.max_k
    models["TextSearch"]["properties"]["text"].update(text)
    # An embedding of zeros has no direction.
    models["EmbeddingSearch"]["properties"]["embedding"]["contains"] = {"not": {"const": 0}}
    classified = models["ClassifyRequest"]["properties"]
    classified["evidence"]["maximum"] = options.max_k
    one, many = models["EmbeddingsRequest"]["properties"]["input"]["anyOf"]
    one.update(text)
    for field in (classified["texts"], many):
        field.update(texts)
        field["items"].update(text)


def _complete(path: str, operation: dict[str, Any], options: ServeOptions) -> None:
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{_PROBLEM}"}}}
    operation["responses"].pop("422", None)
    for status, wrong in (("4XX", "request"), ("5XX", "service")):
        told = f"What is wrong with the {wrong}"
        operation["responses"][status] = {"description": told, "content": content, "headers": RETRY_AFTER}
    if options.api_key_file is not None and is_guarded(path):
        operation["security"] = [{"key": []}]
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "k":
            parameter["schema"]["maximum"] = options.max_k
