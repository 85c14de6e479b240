"""GraphQL without a schema: a field is looked up by its name, in snake case, on the objects of the store.

A field that is not there, an argument that a method does not take and a filter that is not known are errors.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Undefined,
    parse,
    value_from_ast_untyped,
)

from .operations import Mutation, Query
from .store import Store

_NOT_HELD = {"ArtifactPortfolio"}  # types of fragments that nothing here is of


@cache
def snake(name: str) -> str:
    """clientIDMapping → client_id_mapping."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _snake_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {snake(key): _snake_keys(inner) for key, inner in value.items() if inner is not Undefined}
    return [_snake_keys(inner) for inner in value] if isinstance(value, list) else value


@lru_cache(maxsize=256)
def _document(text: str) -> DocumentNode:
    return parse(text)


@lru_cache(maxsize=256)
def operation_names(text: str) -> tuple[str, ...]:
    """Names of the operations that a document defines."""
    definitions = (one for one in parse(text).definitions if isinstance(one, OperationDefinitionNode))
    return tuple(one.name.value if one.name else "" for one in definitions)


def execute(
    store: Store, text: str, variables: Mapping[str, Any] | None, operation_name: str | None
) -> dict[str, Any]:
    """Answer one request; the public API sends "" as the name of the operation where it means none.

    Raises:
        NotFound: The request must be answered with HTTP 404.
    """
    try:
        definitions = _document(text).definitions
        operations = [one for one in definitions if isinstance(one, OperationDefinitionNode)]
        if operation_name:
            operations = [one for one in operations if one.name and one.name.value == operation_name]
        (operation,) = operations
        fragments = {one.name.value: one for one in definitions if isinstance(one, FragmentDefinitionNode)}
        given = {
            one.variable.name.value: value_from_ast_untyped(one.default_value)
            for one in operation.variable_definitions or ()
            if one.default_value
        }
        mutates = operation.operation.value == "mutation"
        request = _Request({**given, **(variables or {})}, fragments)
        root = Mutation(store) if mutates else Query(store)
        return {"data": request.fields_of(root, operation.selection_set, mutates)}
    except (GraphQLSyntaxError, ValueError, AttributeError, KeyError, TypeError, AssertionError) as error:
        return {"errors": [{"message": f"{type(error).__name__}: {error}"}], "data": None}


@dataclass(frozen=True)
class _Request:
    variables: Mapping[str, Any]
    fragments: Mapping[str, FragmentDefinitionNode]

    def fields_of(self, source: Any, chosen: SelectionSetNode, mutates: bool = False) -> Any:
        """What is asked for of an object, or of each of a list."""
        if source is None:
            return None
        if isinstance(source, list | tuple):
            return [self.fields_of(one, chosen) for one in source]
        answer: dict[str, Any] = {}
        self._fill(answer, source, chosen, mutates)
        return answer

    def _fill(self, answer: dict[str, Any], source: Any, chosen: SelectionSetNode, mutates: bool) -> None:
        for node in chosen.selections:
            if not self._is_wanted(node):
                continue
            match node:
                case FieldNode():
                    name = node.alias.value if node.alias else node.name.value
                    value = self._value(source, node, mutates)
                    if node.selection_set is not None:
                        value = self.fields_of(value, node.selection_set)
                        if isinstance(answer.get(name), dict) and isinstance(value, dict):
                            value = answer[name] | value
                    answer[name] = value
                case InlineFragmentNode():
                    if node.type_condition is None or node.type_condition.name.value not in _NOT_HELD:
                        self._fill(answer, source, node.selection_set, mutates)
                case FragmentSpreadNode():
                    fragment = self.fragments[node.name.value]
                    if fragment.type_condition.name.value not in _NOT_HELD:
                        self._fill(answer, source, fragment.selection_set, mutates)

    def _is_wanted(self, node: Any) -> bool:
        """By @include and @skip."""
        for directive in node.directives or ():
            (argument,) = directive.arguments
            condition = value_from_ast_untyped(argument.value, dict(self.variables))
            if condition != (directive.name.value == "include"):
                return False
        return True

    def _value(self, source: Any, node: FieldNode, mutates: bool) -> Any:
        name = snake(node.name.value)
        if name == "__typename":
            return source["typename"] if isinstance(source, Mapping) else type(source).__name__
        value = source[name] if isinstance(source, Mapping) else getattr(source, name)
        if not isinstance(value, Callable):  # type: ignore[arg-type]
            return value
        arguments = {
            one.name.value: value_from_ast_untyped(one.value, dict(self.variables))
            for one in node.arguments or ()
        }
        return value(**_snake_keys(arguments["input"] if mutates else arguments))
