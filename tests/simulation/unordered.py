"""Where code goes through a set in its own order, which is another in every process: found in the source."""

import ast
from pathlib import Path

_KINDS = ("set", "frozenset")
_ORDERS = ("list", "tuple", "iter", "next", "enumerate")
_TAKE = ("join", "extend", "fromkeys")
_ANY_ORDER = ("any", "all", "sum", "len", "min", "max", "sorted", *_KINDS)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SETS = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)


def unordered(root: Path) -> list[str]:
    """Each place under a folder, but for sets of numbers, whose order is the same everywhere."""
    found = []
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text())
        attributes = {name for node in ast.walk(tree) for name in _named(node) if name[0] == "."}
        where = path.relative_to(root)
        found += [f"{where}:{node.lineno}: {ast.unparse(node)}" for node in _in(tree, attributes)]
    return found


def _named(node: ast.AST) -> list[str]:
    """The variables that a statement makes sets."""
    if isinstance(node, ast.AnnAssign) and _is_hint(node.annotation):
        return _names([node.target])
    if isinstance(node, ast.Assign) and _is_set(node.value, set()):
        return _names(node.targets)
    return []


def _names(targets: list[ast.expr]) -> list[str]:
    names = [t.id for t in targets if isinstance(t, ast.Name)]
    return names + [f".{t.attr}" for t in targets if isinstance(t, ast.Attribute)]


def _is_hint(hint: ast.expr) -> bool:
    if not isinstance(hint, ast.Subscript):
        return False
    of = hint.slice.id if isinstance(hint.slice, ast.Name) else ""
    return isinstance(hint.value, ast.Name) and hint.value.id in _KINDS and of != "int"


def _is_set(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        what = node.func
        return (isinstance(what, ast.Name) and what.id in _KINDS and bool(node.args)) or _is_hint(what)
    if isinstance(node, ast.BinOp) and isinstance(node.op, _SETS):
        return any(_is_set(side, names) or _is_keys(side) for side in (node.left, node.right))
    return any(name in names for name in _names([node]))


def _is_keys(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "keys"


def _in(scope: ast.AST, outside: set[str]):
    """Those of a module or function, and of all in it."""
    names, inner = set(outside), []
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        for argument in (*scope.args.args, *scope.args.kwonlyargs):
            names.discard(argument.arg)
            if argument.annotation is not None and _is_hint(argument.annotation):
                names.add(argument.arg)
    nodes = []
    todo = [*ast.iter_child_nodes(scope)]
    while todo:
        node = todo.pop(0)
        if isinstance(node, _FUNCTIONS):
            inner.append(node)
            continue
        names.update(_named(node))
        nodes.append(node)
        todo += ast.iter_child_nodes(node)
    free = {id(a) for n in nodes if isinstance(n, ast.Call) and _called(n) in _ANY_ORDER for a in n.args}
    for node in nodes:
        yield from (spot for spot in _ordered(node, free) if _is_set(spot, names))
    known = outside if isinstance(scope, ast.Module) else names  # what is named in classes is no variable
    for function in inner:
        yield from _in(function, known)


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _ordered(node: ast.AST, free: set[int]) -> list[ast.expr]:
    """What a piece of code goes through in order."""
    if isinstance(node, ast.For):
        return [node.iter]
    if isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp):
        return [] if id(node) in free else [part.iter for part in node.generators]
    if isinstance(node, ast.Starred):
        return [node.value]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "pop" and not node.args:
            return [node.func.value]
        return node.args[:1] if node.func.attr in _TAKE else []
    return node.args[:1] if isinstance(node, ast.Call) and _called(node) in _ORDERS else []
