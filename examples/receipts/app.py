"""The receipts application: what its workers run.

    ferryman worker examples.receipts.app:app --concurrency 2

Web code does not import this module, nor the OCR engine with it: it enqueues by name.

    app.named("read_receipt", queue="receipts").using(id="receipt-17").enqueue("17", "abc.jpg")
"""

import os
from pathlib import Path
from typing import Annotated

from rapidocr import RapidOCR

from examples.receipts.ledger import Ledger, Reading
from examples.receipts.parsing import Receipt, parse
from examples.receipts.reading import NotAPicture, load_engine, read_rows
from ferryman import INJECT, Ferryman, Permanent, Retry, current_job

FOLDER = Path(os.environ.get("RECEIPTS_FOLDER", ".ferryman/receipts"))
STAGES = ("opening the picture", "reading its text", "understanding it", "storing it")

app = Ferryman()
ledger = Ledger(FOLDER / "ledger.db")


@app.resource
def ocr_engine() -> RapidOCR:
    """The engine with its models: loaded once a child process, used by all of its jobs."""
    return load_engine()


@app.task(
    queue="receipts",
    isolation="process",  # native code that may crash or hang: then only this job's child dies
    memory_limit="1 GiB",
    timeout=60,
    retry=Retry(max_attempts=4, delays=(1, 5), base=60, cap=3600),
)
def read_receipt(
    receipt: str, path: str, *, engine: Annotated[RapidOCR, ocr_engine] = INJECT
) -> Reading:
    """Read the picture at `path` and store what is on it as `receipt`."""
    job = current_job()
    if stored := ledger.begin(receipt, job.token):
        return stored  # an earlier delivery got as far as that, and died before it could say so
    job.progress(0, len(STAGES), STAGES[0])
    picture = Path(path).read_bytes()  # not there yet? OSError: tried again after the back-off
    job.progress(1, len(STAGES), STAGES[1])
    try:
        rows = read_rows(engine, picture)
    except NotAPicture as error:
        raise Permanent(str(error)) from error  # no further attempt can mend that
    job.progress(2, len(STAGES), STAGES[2])
    reading = _reading(parse(rows))
    job.progress(3, len(STAGES), STAGES[3])
    ledger.store(receipt, job.token, reading)
    job.progress(4, len(STAGES), "done")
    return reading


def _reading(receipt: Receipt) -> Reading:
    return Reading(
        merchant=receipt.merchant,
        date=None if receipt.date is None else receipt.date.isoformat(),
        total=None if receipt.total is None else str(receipt.total),
        currency=receipt.currency,
        score=round(receipt.score, 3),
        needs_review=receipt.needs_review,
    )
