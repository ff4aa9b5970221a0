"""From a picture to rows of text, by the OCR engine."""

from typing import Any

import cv2
import numpy as np
from rapidocr import RapidOCR

from examples.receipts.rows import Box, Phrase, rebuild_rows


class NotAPicture(ValueError):
    """The bytes are no picture that can be opened; reading them again cannot help."""


def load_engine() -> RapidOCR:
    """The OCR engine with its models: one or two seconds, and about half a gigabyte.

    One thread: a worker process runs one job at a time, and there are as many as cores.
    """
    return RapidOCR(
        params={"EngineConfig.onnxruntime.intra_op_num_threads": 1, "Global.log_level": "error"}
    )


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
