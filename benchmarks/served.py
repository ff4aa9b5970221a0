"""The application that `ferryman serve` serves in the benchmarks."""

import asyncio
import time

from ferryman import Ferryman, current_job

app = Ferryman()


@app.task(queue="receipts")
def read_receipt(receipt_id: int, image_path: str, user_id: int) -> None:
    """Stands for what is enqueued."""


@app.task(queue="told")
async def tell(times: int, pause: float) -> None:
    """Tell the moment, again and again, as progress."""
    job = current_job()
    for number in range(times):
        job.progress(number + 1, times, str(time.time()))
        await asyncio.sleep(pause)
