"""GraphQL over the store: parsed, validated against schema.graphql and executed by graphql-core."""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    OperationDefinitionNode,
    build_schema,
    execute_sync,
    parse,
    validate,
)

from .operations import Mutation, NotFound, Query
from .store import Store

SCHEMA = build_schema((Path(__file__).parent / "schema.graphql").read_text())
# W&B's Int64 and JSON scalars travel as plain JSON; graphql-core passes unknown scalars through as they are.


@cache
def snake(name: str) -> str:
    """clientIDMapping → client_id_mapping."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _resolve(source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    """Read a field of that name: an attribute, a key or a method. One that is missing is an error."""
    name = snake(info.field_name)
    value = source[name] if isinstance(source, Mapping) else getattr(source, name)
    if not callable(value):
        return value
    if info.parent_type is SCHEMA.mutation_type:
        arguments = arguments["input"]
    return value(**_snake_keys(arguments))


def _snake_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {snake(key): _snake_keys(inner) for key, inner in value.items()}
    return [_snake_keys(inner) for inner in value] if isinstance(value, list) else value


def _type_of(value: Any, info: GraphQLResolveInfo, abstract_type: Any) -> str:
    return str(value.typename)


@lru_cache(maxsize=256)
def _document(text: str) -> tuple[DocumentNode, tuple[GraphQLError, ...]]:
    document = parse(text)
    return document, tuple(validate(SCHEMA, document))


@lru_cache(maxsize=256)
def operation_names(text: str) -> tuple[str, ...]:
    """Names of the operations that a document defines."""
    definitions = (node for node in parse(text).definitions if isinstance(node, OperationDefinitionNode))
    return tuple(node.name.value if node.name else "" for node in definitions)


def execute(
    store: Store, text: str, variables: Mapping[str, Any] | None, operation_name: str | None
) -> dict[str, Any]:
    """Answer one request.

    Raises:
        NotFound: The request must be answered with HTTP 404.
    """
    try:
        document, errors = _document(text)
    except GraphQLError as error:
        return {"errors": [error.formatted]}
    if errors:
        return {"errors": [error.formatted for error in errors]}
    result = execute_sync(
        SCHEMA,
        document,
        root_value=_Root(store),
        variable_values=dict(variables or {}),
        operation_name=operation_name or None,  # the public API sends "" where it means null
        field_resolver=_resolve,
        type_resolver=_type_of,
    )
    return _answer(result)


def _answer(result: ExecutionResult) -> dict[str, Any]:
    for error in result.errors or ():
        if isinstance(error.original_error, NotFound):
            raise error.original_error
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    return answer


class _Root(Query, Mutation):
    """One object for both kinds of operation; the schema decides which of its methods may be called."""
