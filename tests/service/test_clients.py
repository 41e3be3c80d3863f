"""Official clients work against a service that listens: OpenAI's, and LangChain's over it."""

from __future__ import annotations

import base64
from collections.abc import Callable

import numpy as np
import openai
import pytest
from langchain_openai import OpenAIEmbeddings

from service.conftest import KEY
from stub_encoder import StubEncoder

TEXTS = ["the train was late", "what a day"]


@pytest.fixture
def address(listening: Callable[..., str], keyed: str) -> str:
    return f"{listening(api_key_file=keyed)}/v1"


def wanted() -> np.ndarray:
    return np.stack([StubEncoder().embed(text) for text in TEXTS])


@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}], ids=str)
def test_the_openai_client_gets_the_embeddings(address: str, form: dict[str, str]) -> None:
    client = openai.OpenAI(base_url=address, api_key=KEY, max_retries=0)
    found = client.embeddings.create(input=TEXTS, model="mine", **form)  # type: ignore[call-overload]
    values = [
        np.frombuffer(base64.b64decode(one.embedding), "<f4")
        if isinstance(one.embedding, str)
        else np.array(one.embedding, dtype=np.float32)
        for one in found.data
    ]
    np.testing.assert_array_equal(np.stack(values), wanted())
    assert [one.index for one in found.data] == [0, 1]


def test_the_openai_client_raises_its_own_errors(address: str) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=address, api_key="wrong" * 5, max_retries=0).embeddings.create(
            input=TEXTS, model="mine"
        )
    client = openai.OpenAI(base_url=address, api_key=KEY, max_retries=0)
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(input=TEXTS, model="gpt-9")
    with pytest.raises(openai.UnprocessableEntityError):
        client.embeddings.create(input=[*TEXTS, ""], model="mine")


def test_langchain_gets_the_embeddings(address: str) -> None:
    # The check would fetch a tokenizer of OpenAI's and send its tokens in place of texts.
    embeddings = OpenAIEmbeddings(
        model="mine", base_url=address, api_key=KEY, check_embedding_ctx_length=False, chunk_size=32
    )
    np.testing.assert_allclose(np.array(embeddings.embed_documents(TEXTS)), wanted(), atol=1e-7)
    np.testing.assert_allclose(np.array(embeddings.embed_query(TEXTS[0])), wanted()[0], atol=1e-7)
    assert len(embeddings.embed_documents([f"text {i}" for i in range(70)])) == 70
