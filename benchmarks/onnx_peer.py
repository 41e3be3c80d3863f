"""What encode.py compares with: sentence-transformers in its ONNX backend, in an environment of its own.

Says when the model is loaded, then reads texts, one line of JSON at a time, and says when they are embedded.
"""

from __future__ import annotations

import json
import sys

from sentence_transformers import SentenceTransformer


def main() -> None:
    """Export the model of a folder, load it, and answer."""
    settings = {"provider": "CPUExecutionProvider", "export": True}
    model = SentenceTransformer(sys.argv[1], device="cpu", backend="onnx", model_kwargs=settings)
    print("ready", flush=True)
    for line in sys.stdin:
        model.encode(json.loads(line), show_progress_bar=False)
        print("done", flush=True)


if __name__ == "__main__":
    main()
