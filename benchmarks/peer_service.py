"""What serve.py compares with: sentence-transformers behind plain FastAPI, as its tutorials have it."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

app = FastAPI()


class Asked(BaseModel):
    """Texts to embed."""

    input: list[str]
    model: str


@app.post("/v1/embeddings")
def embeddings(asked: Asked) -> dict[str, Any]:
    """Return one embedding a text."""
    found = app.state.model.encode(asked.input)
    return {"data": [{"index": place, "embedding": one.tolist()} for place, one in enumerate(found)]}


if __name__ == "__main__":
    app.state.model = SentenceTransformer(sys.argv[1], device="cpu")
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
