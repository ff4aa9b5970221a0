"""The routes below `/api/v1`, by noun."""

from fastapi import APIRouter

from ferryman.http.api import queues

router = APIRouter()
router.include_router(queues.router)
