"""The service's description of itself."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from ferryman.http.answers import answer
from ferryman.http.api.parameters import Anyone, Served
from ferryman.http.documents import document

router = APIRouter(tags=["openapi"])


@router.get("/openapi.json", include_in_schema=False)
async def show_openapi(request: Request, service: Served, who: Anyone) -> Response:
    """The OpenAPI document, with a schema of its own for each task."""
    mounted_at = request.scope.get("root_path", "")
    made = document(request.app, service.client, "/api/v1", keys=service.options.auth == "keys")
    return answer({**made, "servers": [{"url": mounted_at or "/"}]})
