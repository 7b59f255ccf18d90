"""Fields of an experiment's configuration, read without running its file: names, choices, descriptions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fwsim.study.files import parsed


@dataclass(frozen=True)
class Field:
    """A field of a configuration, read from the source.

    Parameters
    ----------
    name
        Name of the field.
    kind
        `"bool"`, `"path"`, `"dict"` or `"value"`.
    several
        Whether it takes several values.
    choices
        All allowed values; empty if they are not listed.
    description
        Its description.
    """

    name: str
    kind: str
    several: bool
    choices: tuple[str, ...]
    description: str


def declared(path: Path) -> list[Field]:
    """Fields of `Config` in an experiment file; empty where the file cannot be parsed."""
    tree = parsed(path)
    if tree is None:
        return []
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    named = dict(_named(tree.body))
    return list({field.name: field for field in _fields("Config", classes, named)}.values())


def _named(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Types with a name in the file: `Model = Literal["a", "b"]`."""
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _fields(name: str, classes: dict[str, ast.ClassDef], named: dict[str, ast.expr]) -> Iterator[Field]:
    """Fields of a class, preceded by those of its base classes in the file."""
    node = classes.get(name)
    if node is None:
        return
    others = {key: value for key, value in classes.items() if key != name}
    for base in node.bases:
        yield from _fields(ast.unparse(base), others, named)
    following = [*node.body[1:], None]
    for statement, after in zip(node.body, following):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            field = statement.target.id
            if field.startswith("_") or ast.unparse(statement.annotation).startswith("ClassVar"):
                continue
            yield _field(field, statement, after, named)


def _field(name: str, statement: ast.AnnAssign, after: ast.stmt | None, named: dict[str, ast.expr]) -> Field:
    parts = list(_parts(statement.annotation, named))
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    choices = tuple(
        str(value)
        for part in parts
        if isinstance(part, ast.Subscript) and _called(part.value) == "Literal"
        for value in _constants(part.slice)
    )
    kind = next(
        (kind for kind, word in (("path", "Path"), ("dict", "dict"), ("bool", "bool")) if word in names),
        "value",
    )
    several = bool(names & {"tuple", "list", "set", "frozenset", "Sequence"})
    return Field(name, kind, several, choices, _description(statement.value, after))


def _parts(annotation: ast.expr, named: dict[str, ast.expr], depth: int = 8) -> Iterator[ast.expr]:
    """All parts of a type; names from the file are resolved."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.expr):
            yield node
        if isinstance(node, ast.Name) and node.id in named and depth:
            yield from _parts(named[node.id], named, depth - 1)


def _called(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _constants(node: ast.expr) -> Iterator[object]:
    for part in node.elts if isinstance(node, ast.Tuple) else [node]:
        if isinstance(part, ast.Constant):
            yield part.value


def _description(default: ast.expr | None, after: ast.stmt | None) -> str:
    """`Field(description=…)`, otherwise the text below the field."""
    for word in default.keywords if isinstance(default, ast.Call) else ():
        if word.arg == "description" and isinstance(word.value, ast.Constant):
            return " ".join(str(word.value.value).split())
    text = after.value if isinstance(after, ast.Expr) else None
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return " ".join(text.value.split())
    return ""
