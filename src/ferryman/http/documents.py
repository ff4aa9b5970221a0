"""The OpenAPI document: routes from the framework, records from msgspec, tasks from their code."""

import contextlib
import inspect
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ferryman.client.client import Client
from ferryman.client.task import Task
from ferryman.http.problems import MEDIA_TYPE
from ferryman.masking import is_secret_kind, is_secret_name, mask

REFERENCE: Final = "#/components/schemas/{name}"
TASK_PATH: Final = "/tasks/{task}/jobs"
BATCH_PATH: Final = "/jobs/batch"
_records: Final[dict[str, Any]] = {}


class ProblemView(msgspec.Struct, frozen=True, kw_only=True):
    """An error (RFC 9457). `type` and `title` name its kind, `detail` says what to do next."""

    type: str
    title: str
    status: int
    detail: str


PROBLEMS: Final = {
    400: "Not a request that can be read",
    401: "No key, or one that is not known (any more)",
    403: "The key does not allow it",
    404: "There is no such thing",
    409: "The state of things does not allow it",
    413: "Too large",
    415: "Not JSON",
    422: "The request does not fit",
    429: "Too many requests; `Retry-After` says when to come again",
    503: "The store cannot be reached or is full; `Retry-After` says when to come again",
}
ALWAYS: Final = (401, 403, 422, 429, 503)


def refers(record: Any) -> dict[str, Any]:
    """A schema that refers to a record."""
    _records.setdefault(record.__name__, record)
    return {"$ref": REFERENCE.format(name=record.__name__)}


def says(
    record: Any = None, *problems: int, status: int = 200, also: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """What a route's decorator says of its answers.

    Args:
        record: what it answers; `None` is: nothing.
        problems: the statuses of problems besides those that every route may have.
        status: of the answer.
        also: other statuses with the same answer, and what they mean.
    """
    content = {"application/json": {"schema": refers(record)}} if record else None
    responses: dict[int | str, dict[str, Any]] = {
        number: {
            "description": PROBLEMS[number],
            "content": {MEDIA_TYPE: {"schema": refers(ProblemView)}},
        }
        for number in sorted({*ALWAYS, *problems})
    }
    for number, meaning in {status: "Done", **(also or {})}.items():
        responses[number] = {"description": meaning} | ({"content": content} if content else {})
    return {"responses": responses, "status_code": status}


def takes(record: Any, *, required: bool = True) -> dict[str, Any]:
    """What a route's decorator says of its body."""
    schema = {"schema": refers(record)}
    return {"requestBody": {"required": required, "content": {"application/json": schema}}}


def document(app: FastAPI, client: Client, prefix: str, *, keys: bool) -> dict[str, Any]:
    """The OpenAPI document of the service, with a path and a schema for each task.

    Args:
        keys: API keys are asked for.
    """
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    for item in made["paths"].values():
        for operation in item.values():
            _tidy(operation)
    tasks = [task for task in client.tasks.values() if task.signature is not None]
    schemas = _schemas(tasks)
    made.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    for unused in ("HTTPValidationError", "ValidationError"):
        made["components"]["schemas"].pop(unused, None)
    _add_tasks(made, tasks, prefix)
    if keys:
        scheme = {"type": "http", "scheme": "bearer", "description": "An API key."}
        made["components"]["securitySchemes"] = {"key": scheme}
        made["security"] = [{"key": []}]
    return made


def _tidy(operation: dict[str, Any]) -> None:
    """Without the framework's own errors, which are never sent."""
    for response in operation.get("responses", {}).values():
        content = response.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema == {} or "HTTPValidationError" in str(schema):
            content.pop("application/json", None)
        if not content:
            response.pop("content", None)


def _schemas(tasks: list[Task[..., Any]]) -> dict[str, Any]:
    kinds = [kind for task in tasks for kind in _kinds(task)]
    foreign: dict[str, Any] = {}
    records = list(_records.values())
    _, found = msgspec.json.schema_components(
        [*records, *kinds], ref_template=REFERENCE, schema_hook=_hook(foreign)
    )
    made = {**found, **foreign}
    for component in made.values():
        _hide_defaults(component)
    return made


def _hide_defaults(component: dict[str, Any]) -> None:
    """Publish no default that is a secret, or may hold one."""
    for name, field in component.get("properties", {}).items():
        marked = b'"writeOnly":true' in msgspec.json.encode(field)
        may_hold = isinstance(field.get("default"), dict | list) and field["default"]
        if marked or may_hold or is_secret_name(name):
            field.pop("default", None)
            field.pop("examples", None)
    for field in component.get("prefixItems", ()):  # nothing says what they are called
        field.pop("default", None)


def _kinds(task: Task[..., Any]) -> list[Any]:
    assert task.signature is not None  # noqa: S101 - narrows the type
    return list(task.signature.kinds.values())


def _hook(foreign: dict[str, Any]) -> Any:
    """What msgspec asks for the schema of a kind that it does not know."""

    def schema(kind: Any) -> dict[str, Any]:
        if not hasattr(kind, "model_json_schema"):
            return {}
        name = re.sub(r"[^\w.-]", "_", kind.__name__)
        made: dict[str, Any] = kind.model_json_schema(
            ref_template=f"#/components/schemas/{name}.{{model}}"
        )
        for inner, definition in made.pop("$defs", {}).items():
            foreign[f"{name}.{inner}"] = definition
        _hide_defaults(made)
        return made

    return schema


def _add_tasks(made: dict[str, Any], tasks: list[Task[..., Any]], prefix: str) -> None:
    """A path for each task in place of the one for all of them."""
    schemas = made["components"]["schemas"]
    generic = made["paths"].pop(prefix + TASK_PATH)["post"]
    body = schemas["NewJobBody"]
    requests = []
    for task in tasks:
        name = f"Request.{task.name}"
        own = {**body["properties"], "arguments": arguments_schema(task)}
        required = ["arguments"] if own["arguments"].get("required") else []
        schemas[name] = {**body, "title": name, "properties": own, "required": required}
        operation = {
            **generic,
            "operationId": f"enqueue_{re.sub(r'[^A-Za-z0-9_]', '_', task.name)}",
            "summary": f"Enqueue {task.name}",
            "parameters": [one for one in generic["parameters"] if one["name"] != "task"],
            "requestBody": _content(name, required=bool(required)),
        }
        if task.function is not None and task.function.__doc__:
            operation["description"] = inspect.cleandoc(task.function.__doc__)
        made["paths"][prefix + TASK_PATH.format(task=task.name)] = {"post": operation}
        requests.append(_batched(schemas, task, name))
    if requests:
        jobs = schemas["BatchBody"]["properties"]["jobs"]
        jobs["items"] = {"oneOf": requests, "discriminator": {"propertyName": "task"}}


def _batched(schemas: dict[str, Any], task: Task[..., Any], name: str) -> dict[str, Any]:
    own = {**schemas[name]["properties"], "task": {"const": task.name, "type": "string"}}
    batched = f"Batched.{task.name}"
    schemas[batched] = {
        **schemas[name],
        "title": batched,
        "properties": own,
        "required": ["task", *schemas[name]["required"]],
    }
    return {"$ref": REFERENCE.format(name=batched)}


def _content(name: str, *, required: bool) -> dict[str, Any]:
    reference = {"$ref": REFERENCE.format(name=name)}
    return {"required": required, "content": {"application/json": {"schema": reference}}}


def arguments_schema(task: Task[..., Any]) -> dict[str, Any]:
    """The JSON schema of a task's arguments by name."""
    signature = task.signature
    if signature is None:
        return {"type": "object"}
    properties: dict[str, Any] = {}
    made: dict[str, Any] = {"type": "object", "properties": properties}
    required = []
    made["additionalProperties"] = False
    (shapes, _) = msgspec.json.schema_components(
        list(signature.kinds.values()), ref_template=REFERENCE, schema_hook=_hook({})
    )
    for (name, parameter), shape in zip(signature.parameters.items(), shapes, strict=True):
        match parameter.kind:
            case inspect.Parameter.VAR_KEYWORD:
                made["additionalProperties"] = shape or True
            case inspect.Parameter.VAR_POSITIONAL:
                properties[name] = {"type": "array", "items": shape}
            case _:
                properties[name] = _described(shape, signature.kinds[name], parameter)
                if parameter.default is parameter.empty:
                    required.append(name)
    if required:
        made["required"] = required
    return made


def _described(shape: dict[str, Any], kind: Any, parameter: inspect.Parameter) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if is_secret_kind(kind) or is_secret_name(parameter.name):
        extra |= {"writeOnly": True} | ({"format": "password"} if _is_text(shape) else {})
    elif parameter.default is not parameter.empty:
        with contextlib.suppress(TypeError, ValueError):  # a default that JSON cannot say
            default = msgspec.to_builtins(parameter.default)
            if mask(default, kind) == default:
                extra["default"] = default
    return {**shape, **extra}


def _is_text(shape: dict[str, Any]) -> bool:
    return shape.get("type") == "string"
