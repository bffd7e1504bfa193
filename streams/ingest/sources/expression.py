"""Expressions of a map: JMESPath over one record, checked and compiled at start.

Rule 1. A mistake is found at start: an unknown function, a wrong number of arguments, a name that
        is no part of a record.
Rule 2. Paths, literals, lists and calls are compiled to closures; the rest of JMESPath is left to
        its own interpreter. Both give the same value.
"""

import difflib
from collections.abc import Callable
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError, ParseError
from jmespath.visitor import Options, TreeInterpreter

from streams.ingest.sources.functions import OURS, FunctionError, MapFunctions

PARTS = ("value", "headers", "key", "topic", "partition", "offset", "timestamp")
"""Parts of a record, by which an expression begins."""
OF_EACH = ("item", "index")
"""Beside them, where a source has ``each``."""
Scope = dict[str, Any]
Read = Callable[[Any], Any]
Node = Any
"""A node of a parsed expression, as JMESPath has it."""
Special = Callable[[Node], Read | None]
_FUNCTIONS = MapFunctions()
_INTERPRETER = TreeInterpreter(Options(custom_functions=_FUNCTIONS))
_LEFT_FIRST = frozenset(
    ("subexpression", "pipe", "projection", "value_projection", "filter_projection")
)
"""Nodes whose children but the first are read from the result of the one before."""
_LOGIC = frozenset(("and_expression", "or_expression", "not_expression"))
_COMPILED = frozenset(
    (
        "field",
        "literal",
        "subexpression",
        "index_expression",
        "index",
        "multi_select_list",
        "function_expression",
        *_LOGIC,
    )
)
"""Nodes that are compiled to closures, beside comparisons for equality."""
_EQUALITY = frozenset(("eq", "ne"))
_EMPTY: tuple[Any, ...] = ("", [], {})
"""Beside null and false, the values that JMESPath takes for false."""
MISTAKES = (JMESPathError, TypeError, ValueError, KeyError, OverflowError)
"""What a compiled expression raises for a value that it cannot take."""
_NUMBER = "NUMBER"
"""JMESPath's name of a number among the parts of its grammar."""
_WORDS = {"true": "`true`", "false": "`false`"}


class ExpressionError(ValueError):
    """A mistake in an expression. The message names the remedy."""


def no_special(node: Node) -> Read | None:
    """Return None: every node is compiled alike."""
    del node
    return None


def compile_expression(text: str, *, has_each: bool) -> Read:
    """Return a function of a scope that gives the value of an expression.

    Parameters
    ----------
    text
        The expression.
    has_each
        Whether ``item`` and ``index`` are known.

    Raises
    ------
    ExpressionError
        When it is no expression, or names what does not exist.

    Examples
    --------
    >>> compile_expression("value.after.id", has_each=False)({"value": {"after": {"id": 7}}})
    7
    """
    try:
        node: Node = jmespath.compile(text).parsed
    except JMESPathError as error:
        raise ExpressionError(_syntax(text, error)) from None
    _check(node, (*PARTS, *OF_EACH) if has_each else PARTS, is_at_root=True)
    return compile_node(node)


def holds(when: Read, scope: Any) -> bool:
    """Return whether a condition holds; one that cannot be computed does not."""
    try:
        return not is_false(when(scope))
    except MISTAKES:
        return False


def evaluate(read: Read, scope: Scope) -> Any:
    """Return the value of a compiled expression.

    Raises
    ------
    FunctionError
        When a function is given a value that it cannot take.
    """
    try:
        return read(scope)
    except MISTAKES as error:
        raise FunctionError(says=mistake_of(error)) from None


def mistake_of(error: Exception) -> str:
    """Return why an expression cannot be computed, without the value that the error may hold."""
    if isinstance(error, FunctionError):
        return str(error)
    name = getattr(error, "function_name", None)
    return f"{name} cannot take such a value" if name else "it cannot be computed"


def _syntax(text: str, error: JMESPathError) -> str:
    if not text.strip():
        return "the expression is empty"
    if getattr(error, "token_type", None) == _NUMBER:
        return f"a number stands in backquotes: `{getattr(error, 'token_value', '')}`"
    where = f" at character {error.lex_position + 1}" if isinstance(error, ParseError) else ""
    return f"it is no JMESPath{where}; constants of text stand in single quotes: 'loan'"


def _check(node: Node, parts: tuple[str, ...], *, is_at_root: bool) -> None:
    """Refuse names that do not exist (Rule 1)."""
    kind, children = node["type"], node["children"]
    if kind == "field" and is_at_root:
        _check_part(node["value"], parts)
    elif kind == "function_expression":
        _check_call(node["value"], len(children))
    elif kind == "expref":
        is_at_root = False
    for place, child in enumerate(() if kind == "slice" else children):  # of numbers
        is_left = kind not in _LEFT_FIRST or place == 0
        _check(child, parts, is_at_root=is_at_root and is_left)


def _check_part(name: str, parts: tuple[str, ...]) -> None:
    if name in parts or name == "null":  # JMESPath reads null as a field that no record has
        return
    if name in _WORDS:
        raise ExpressionError(f"{name} stands in backquotes: {_WORDS[name]}")
    if name in OF_EACH:
        raise ExpressionError(f"{name} exists only in a source with `each`")
    near = difflib.get_close_matches(name, parts, n=1)
    hint = f"did you mean {near[0]}?" if near else f"text stands in single quotes: '{name}'"
    raise ExpressionError(f"{name} is no part of a record ({', '.join(parts)}); {hint}")


def _check_call(name: str, count: int) -> None:
    known: dict[str, Any] = MapFunctions.FUNCTION_TABLE
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"ours are {', '.join(OURS)}"
        raise ExpressionError(f"{name} is no function; {hint}")
    signature = known[name]["signature"]
    is_open = bool(signature) and signature[-1].get("variadic", False)
    if count < len(signature) or (count > len(signature) and not is_open):
        least = "at least " if is_open else ""
        raise ExpressionError(f"{name} takes {least}{len(signature)} arguments, not {count}")


def compile_node(node: Node, special: Special = no_special) -> Read:
    """Return a function of the current value that gives the value of a node (Rule 2).

    Parameters
    ----------
    node
        The node, as JMESPath has parsed it.
    special
        Returns the function of a node that is compiled otherwise; None for all others.
    """
    found = special(node)
    if found is None and not is_compiled(node):
        return lambda given: _INTERPRETER.visit(node, given)
    return found or _compiled(node, special)


def _compiled(node: Node, special: Special) -> Read:
    kind, value = node["type"], node.get("value")
    parts = [compile_node(child, special) for child in node["children"]]
    if kind in _LOGIC:
        return _logic(kind, parts)
    if kind == "comparator":
        return _equality(parts, is_equal=value == "eq")
    if kind in _PATHS:
        return _path(parts, node["children"])
    if kind == "function_expression":
        return _call(value, parts)
    return _list(parts) if kind == "multi_select_list" else _LEAVES[kind](value)


def is_compiled(node: Node) -> bool:
    """Return whether a node is compiled to a closure."""
    kind = node["type"]
    return kind in _COMPILED or (kind == "comparator" and node["value"] in _EQUALITY)


def is_false(value: Any) -> bool:
    """Return whether JMESPath takes a value for false."""
    return value is None or value is False or (value is not True and value in _EMPTY)


def _equality(parts: list[Read], *, is_equal: bool) -> Read:
    left, right = parts

    def read(given: Any) -> bool:
        first, second = left(given), right(given)
        # As JMESPath has it, 1 is not true and 0 is not false.
        is_same = first == second and (type(first) is bool) == (type(second) is bool)
        return is_same is is_equal

    return read


def _logic(kind: str, parts: list[Read]) -> Read:
    first, last = parts[0], parts[-1]
    if kind == "not_expression":
        return lambda given: is_false(first(given))
    goes_on = kind == "or_expression"

    def read(given: Any) -> Any:
        found = first(given)
        return last(given) if is_false(found) is goes_on else found

    return read


def constant(value: Any) -> Read:
    """Return a function that gives a value."""
    return lambda _: value


def _list(parts: list[Read]) -> Read:
    return lambda given: None if given is None else [read(given) for read in parts]


def _field(name: str) -> Read:
    return lambda given: given.get(name) if type(given) is dict else None


_PATHS = frozenset(("subexpression", "index_expression"))


def _two_fields(first: str, second: str) -> Read:
    """Return the reader of the path that most fields of a map have."""

    def read(given: Any) -> Any:
        inner = given.get(first) if type(given) is dict else None
        return inner.get(second) if type(inner) is dict else None

    return read


def _item(place: int) -> Read:
    def read(given: Any) -> Any:
        if type(given) is list and -len(given) <= place < len(given):
            return given[place]
        return None

    return read


def _path(steps: list[Read], nodes: list[Node]) -> Read:
    if len(nodes) == 2 and all(node["type"] == "field" for node in nodes):
        return _two_fields(*[node["value"] for node in nodes])
    if len(steps) == 2:
        first, second = steps
        return lambda given: second(first(given))

    def read_steps(given: Any) -> Any:
        for step in steps:
            given = step(given)
        return given

    return read_steps


def _call(name: str, arguments: list[Read]) -> Read:
    arity, ours = OURS.get(name, (0, None))
    if ours is None:
        return lambda given: _FUNCTIONS.call_function(name, [read(given) for read in arguments])
    if arity == 1:
        only = arguments[0]

        def read_one(given: Any) -> Any:
            value = only(given)
            return None if value is None else ours(value)

        return read_one

    def read_all(given: Any) -> Any:
        values = [read(given) for read in arguments]
        return None if values[0] is None else ours(*values)

    return read_all


_LEAVES: dict[str, Callable[[Any], Read]] = {
    "field": _field,
    "literal": constant,
    "index": _item,
}
