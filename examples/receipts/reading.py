"""From a picture to rows of text, by the OCR engine."""

from typing import Any

import cv2
import numpy as np
from rapidocr import RapidOCR

from examples.receipts.rows import Box, Phrase, rebuild_rows


class NotAPicture(ValueError):
    """The bytes are no picture that can be opened; reading them again cannot help."""


def load_engine() -> RapidOCR:
    """The OCR engine with its models: about a second, and half a gigabyte.

    One thread: a child process runs one job at a time, and there are as many as cores.
    """
    engine = RapidOCR(
        params={"EngineConfig.onnxruntime.intra_op_num_threads": 1, "Global.log_level": "error"}
    )
    # It loads each model at its first use: read a word now, so that the first job need not wait.
    word = np.full((64, 256, 3), 255, np.uint8)
    cv2.putText(word, "READY", (20, 45), (0, 0, 0), cv2.FontFace("sans"), 32)
    engine(word)
    return engine


def read_rows(engine: RapidOCR, picture: bytes) -> list[list[Phrase]]:
    """The rows of text on a picture, from top to bottom, each from left to right.

    Raises:
        NotAPicture: `picture` cannot be opened.
    """
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    if image is None:
        raise NotAPicture(f"these {len(picture)} bytes are not a picture that can be opened")
    found: Any = engine(image)
    if found.boxes is None:  # nothing on it that looks like text
        return []
    phrases = zip(found.txts, found.scores, found.boxes.tolist(), strict=True)
    return rebuild_rows([Box.around(*phrase) for phrase in phrases])
