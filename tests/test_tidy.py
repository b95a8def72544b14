"""The house style that no linter of ours knows: sizes, what the core may not do, broad excepts, words left behind.

Each rule is a function from a parsed file to findings, and each is first shown to catch an offender planted for it.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 500
CODE = sorted(path for room in ("orrange_p2p", "protocol", "simulations") for path in (ROOT / room).rglob("*.py"))
CORE = sorted((ROOT / "orrange_p2p" / "core").rglob("*.py"))
BORDER = ROOT / "orrange_p2p" / "net"
TEXT_SUFFIXES = (".py", ".md", ".sol", ".js", ".toml", ".json", ".cddl", ".csv", ".lock", "")
TEXT_ROOMS = ("orrange_p2p", "protocol", "simulations", "tests", "contracts", "bootstrap", ".ci")
MADE_ROOMS = ("node_modules", "out", "cache", "__pycache__")

Finding = tuple[int, str]
Rule = Callable[[ast.Module], Iterator[Finding]]
Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.Module | ast.ClassDef | Function


def long_functions(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield node.lineno, f"{node.name}: expected at most {MAX_FUNCTION_LINES} lines, was {lines}"


def floats(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"a float literal, {node.value}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "a true division"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("float", "complex"):
            yield node.lineno, f"a call of {node.func.id}"


def async_code(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            yield node.lineno, "async"
        elif isinstance(node, ast.comprehension) and node.is_async:
            yield node.iter.lineno, "async"


def asserts(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, "an assert; checks raise"


_SET_NAMES = ("set", "frozenset", "Set", "AbstractSet", "MutableSet")
_SET_OPERATORS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Sub)
_SET_METHODS = ("union", "intersection", "difference", "symmetric_difference", "copy")
_IN_ORDER = ("list", "tuple", "iter", "enumerate", "map", "filter", "zip", "reversed", "dict", "next", "chain")


class _Sets:
    """Which expressions of a file are sets, as far as one can tell without types.

    Names are known by scope: what a function annotates or assigns, what the scopes around it do, and `self.x` of any
    class.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.aliases = set(_SET_NAMES)
        self.attributes: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and self._is_set_type(node.value):
                self.aliases.update(target.id for target in node.targets if isinstance(target, ast.Name))
        for node in ast.walk(tree):
            self._learn(node, self.attributes, ast.Attribute)
        self.names: set[str] = set()

    def enter(self, scope: Scope) -> None:
        """Learn the names of a scope, besides those of the scopes around it."""
        arguments = scope.args if isinstance(scope, Function) else None
        for node in (*ast.walk(arguments),) if arguments else ():
            if isinstance(node, ast.arg) and node.annotation is not None and self._is_set_type(node.annotation):
                self.names.add(node.arg)
        for node in _own_nodes(scope):
            self._learn(node, self.names, ast.Name)

    def _learn(self, node: ast.AST, into: set[str], kind: type[ast.Name] | type[ast.Attribute]) -> None:
        targets: list[ast.expr] = []
        if isinstance(node, ast.AnnAssign) and self._is_set_type(node.annotation):
            targets = [node.target]
            if kind is ast.Attribute and isinstance(node.target, ast.Name):
                into.add(node.target.id)
        elif isinstance(node, ast.Assign) and self.is_set(node.value):
            targets = node.targets
        for target in targets:
            if isinstance(target, kind):
                into.add(target.attr if isinstance(target, ast.Attribute) else target.id)

    def _is_set_type(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return any(node.value.startswith(f"{name}[") for name in self.aliases)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self._is_set_type(node.left) or self._is_set_type(node.right)
        if isinstance(node, ast.Subscript):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.aliases

    def is_set(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Name):
            return node.id in getattr(self, "names", ())
        if isinstance(node, ast.Attribute):
            return node.attr in self.attributes
        if isinstance(node, ast.IfExp):
            return self.is_set(node.body) or self.is_set(node.orelse)
        if isinstance(node, ast.BinOp) and isinstance(node.op, _SET_OPERATORS):
            return any(self.is_set(side) or _is_keys(side) for side in (node.left, node.right))
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                return node.func.attr in _SET_METHODS and self.is_set(node.func.value)
            return isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
        return False


def _is_keys(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items")


def _own_nodes(scope: Scope) -> Iterator[ast.AST]:
    """Everything inside a scope that is not inside a scope within it; nested scopes themselves are given."""
    waiting: list[ast.AST] = list(scope.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def set_iterations(tree: ast.Module) -> Iterator[Finding]:
    yield from _set_iterations(_Sets(tree), tree)


def _set_iterations(sets: _Sets, scope: Scope) -> Iterator[Finding]:
    outer = set(sets.names)
    sets.enter(scope)
    for node in _own_nodes(scope):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _set_iterations(sets, node)
        for walked in _walked_in_order(node):
            if sets.is_set(walked):
                yield walked.lineno, f"walks over a set, {ast.unparse(walked)}; sort it first"
    sets.names = outer


def _walked_in_order(node: ast.AST) -> list[ast.expr]:
    """The expressions whose order the node lays bare."""
    if isinstance(node, ast.For | ast.comprehension):
        return [node.iter]
    if isinstance(node, ast.Starred | ast.YieldFrom):
        return [node.value]
    if isinstance(node, ast.Assign) and any(isinstance(target, ast.Tuple | ast.List) for target in node.targets):
        return [node.value]
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in _IN_ORDER:
            return node.args
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("join", "extend", "from_iterable", "fromkeys"):
            return node.args
        if isinstance(node.func, ast.Attribute) and node.func.attr == "pop" and not node.args:
            return [node.func.value]
    return []


_BROAD = ("Exception", "BaseException", "ExceptionGroup", "BaseExceptionGroup")
_CANCELLING = ("BaseException", "BaseExceptionGroup", "Cancelled")


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _caught(handled: ast.expr | None) -> list[str]:
    """The names of what a handler catches; a bare one catches BaseException."""
    if handled is None:
        return ["BaseException"]
    return [_last_name(one) for one in (handled.elts if isinstance(handled, ast.Tuple) else [handled])]


def broad_excepts(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = _caught(node.type)
        elif isinstance(node, ast.Call) and _last_name(node.func) == "suppress":
            caught = [name for argument in node.args for name in _caught(argument)]
        else:
            continue
        for name in caught:
            if name in _BROAD:
                yield node.lineno, f"catches {name}; catch the one type you can answer"


def swallowed_cancellations(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught, is_raised = _caught(node.type), isinstance(node.body[-1], ast.Raise)
        elif isinstance(node, ast.Call) and _last_name(node.func) == "suppress":
            caught, is_raised = [name for argument in node.args for name in _caught(argument)], False
        else:
            continue
        if not is_raised and any(name in _CANCELLING for name in caught):
            yield node.lineno, "catches a cancellation and does not raise it again at its end"


_UNFINISHED = re.compile(r"\b(?:[T]ODO|[F]IXME|[X]XX|[H]ACK)\b")
_PRIVATE_PATH = re.compile(r"(?<![\w.~}-])/(?:home|Users|root|work|opt|srv)/(?=[\w.])")


def words_left_behind(text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, what in ((_UNFINISHED, "unfinished work"), (_PRIVATE_PATH, "a path of one machine")):
            found = pattern.search(line)
            if found:
                yield number, f"{what}, {found.group()!r}"


def download_addresses(text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), start=1):
        is_about_money = '"url":' in line  # npm's "funding"
        if not is_about_money and ("://" in line or "index-url" in line or "find-links" in line):
            yield number, "a download address; the hash alone says what is right"


def _findings(path: Path, rule: Rule) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [f"{path.relative_to(ROOT)}:{line}: {what}" for line, what in sorted(rule(tree))]


def _texts() -> list[Path]:
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for room in TEXT_ROOMS:
        files.extend(path for path in (ROOT / room).rglob("*") if path.is_file())
    return sorted(
        path
        for path in files
        if path.suffix in TEXT_SUFFIXES and not any(part in MADE_ROOMS for part in path.relative_to(ROOT).parts)
    )


CLEAN = '''
def price_of(rows: list[int], known: frozenset[int]) -> list[int]:
    """Iterating over what is sorted, and asking a set what it holds, is fine."""
    seen = {1, 2}
    try:
        return [row // 2 for row in rows if row in known] + sorted(seen)
    except (KeyError, ValueError):
        raise
'''
PLANTED: list[tuple[Rule, str]] = [
    (long_functions, "def walk():\n" + "    step()\n" * MAX_FUNCTION_LINES),
    (long_functions, "async def walk():\n" + "    step()\n" * MAX_FUNCTION_LINES),
    (floats, "price = 0.5"),
    (floats, "price = 1j"),
    (floats, "price = cost / lots"),
    (floats, "price /= 2"),
    (floats, "price = float(cost)"),
    (async_code, "async def step(): pass"),
    (async_code, "async def step():\n    async with lock: pass"),
    (async_code, "async def step():\n    return [one async for one in queue]"),
    (asserts, "assert lots > 0"),
    (set_iterations, "for one in {1, 2}: pass"),
    (set_iterations, "for one in set(orders): pass"),
    (set_iterations, "rows = [one for one in frozenset(orders)]"),
    (set_iterations, "rows = {one: 1 for one in {two for two in orders}}"),
    (set_iterations, "def walk(live: set[int]):\n    for one in live: pass"),
    (set_iterations, "def walk(*, live: 'frozenset[int] | None'):\n    return list(live)"),
    (set_iterations, "def walk(orders):\n    live = frozenset(orders)\n    return b''.join(live)"),
    (set_iterations, "def walk(orders):\n    live: set[int] = orders\n    return [*live]"),
    (set_iterations, "Skips = frozenset[int]\ndef walk(skips: Skips):\n    return tuple(skips)"),
    (set_iterations, "LIVE = frozenset((1, 2))\ndef walk():\n    return [one for one in LIVE]"),
    (
        set_iterations,
        "class Book:\n    def __init__(self):\n        self.live = set()\n    def one(self): return self.live.pop()",
    ),
    (set_iterations, "class Book:\n    live: frozenset[int]\n    def all(self): yield from self.live"),
    (set_iterations, "def walk(old, new):\n    for one in old.keys() - new.keys(): pass"),
    (set_iterations, "def walk(live: set[int], old):\n    first, second = live - old"),
    (set_iterations, "def walk(live: set[int], old):\n    rows.extend(live.union(old))"),
    (broad_excepts, "try: step()\nexcept: pass"),
    (broad_excepts, "try: step()\nexcept Exception: pass"),
    (broad_excepts, "try: step()\nexcept (KeyError, BaseException) as error: raise"),
    (broad_excepts, "try: step()\nexcept* builtins.Exception: pass"),
    (broad_excepts, "with contextlib.suppress(Exception): step()"),
    (swallowed_cancellations, "try: step()\nexcept trio.Cancelled: pass"),
    (swallowed_cancellations, "try: step()\nexcept BaseException as error: log(error)"),
    (swallowed_cancellations, "try: step()\nexcept (OSError, Cancelled):\n    if late: raise"),
    (swallowed_cancellations, "with suppress(OSError, Cancelled): step()"),
]


@pytest.mark.parametrize(("rule", "source"), PLANTED)
def test_each_rule_catches_a_planted_offender(rule: Rule, source: str) -> None:
    assert list(rule(ast.parse(source)))


@pytest.mark.parametrize("rule", sorted({rule for rule, _ in PLANTED}, key=lambda rule: rule.__name__))
def test_no_rule_complains_about_clean_code(rule: Rule) -> None:
    assert list(rule(ast.parse(CLEAN))) == []


@pytest.mark.parametrize("spaced", ["T ODO", "F IXME", "X XX", "H ACK"])
def test_unfinished_work_is_caught(spaced: str) -> None:
    word = spaced.replace(" ", "")  # so that this file is clean itself
    assert [line for line, _ in words_left_behind(f"fine\n# {word}: later")] == [2]


@pytest.mark.parametrize("dotted", [":home:me:orrange", "see :root:.cache", "(:work:me)", "':Users:me'"])
def test_a_path_of_one_machine_is_caught(dotted: str) -> None:
    path = dotted.replace(":", "/")
    assert [line for line, _ in words_left_behind(f"\n{path}")] == [2]


@pytest.mark.parametrize(
    "text", ["the root/child", "protocol/opt/x", "a FIXMEUP", "~/work/notes", "https://a.b/home/c"]
)
def test_ordinary_words_are_not_caught(text: str) -> None:
    assert list(words_left_behind(text)) == []


@pytest.mark.parametrize("line", ["--index-url x", 'a = "https://host/a.whl"', '"resolved": "https://host/a.tgz"'])
def test_a_download_address_is_caught(line: str) -> None:
    assert [number for number, _ in download_addresses(f"fine==1.0\n{line}")] == [2]


def test_the_rules_look_at_something() -> None:
    assert len(CODE) > len(CORE) > 10
    assert len(_texts()) > len(CODE)


def test_functions_are_short() -> None:
    assert [finding for path in CODE for finding in _findings(path, long_functions)] == []


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > MAX_FILE_LINES} == {}


@pytest.mark.parametrize("rule", [floats, async_code, asserts, set_iterations])
def test_the_core_is_exact_synchronous_and_ordered(rule: Rule) -> None:
    """Spec: [TYPE-3]."""
    assert [finding for path in CORE for finding in _findings(path, rule)] == []


def test_only_the_border_to_libp2p_catches_everything() -> None:
    inland = [path for path in CODE if BORDER not in path.parents]
    assert [finding for path in inland for finding in _findings(path, broad_excepts)] == []


def test_cancellations_are_never_swallowed() -> None:
    assert [finding for path in CODE for finding in _findings(path, swallowed_cancellations)] == []


def test_nothing_unfinished_or_private_is_left_behind() -> None:
    found = []
    for path in _texts():
        text = path.read_text(encoding="utf-8")
        found += [f"{path.relative_to(ROOT)}:{line}: {what}" for line, what in words_left_behind(text)]
    assert found == []


LOCKS = ["requirements.lock", "contracts/package-lock.json", "tests/interop/package-lock.json"]


@pytest.mark.parametrize("name", LOCKS)
def test_lock_files_carry_hashes_and_no_download_addresses(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert list(download_addresses(text)) == []
    assert "sha256:" in text or '"integrity": "sha512-' in text
