"""The shape of the house: which package may import which, and how long a function may grow."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "shards": set(),
    "model": set(),
    "jobs": {"shards"},
    "pipeline": {"shards", "jobs"},
    "training": {"shards", "jobs", "model"},
    "demo": {"shards", "jobs", "model", "pipeline", "training"},
}
FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]
MOST_LINES_OF_A_FUNCTION = 60


def imported(path: Path) -> set[str]:
    """The top-level packages that a file names in its imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    ours = imported(path) & set(MAY_IMPORT) - {package}
    assert ours <= MAY_IMPORT[package], f"{package} may not import {', '.join(sorted(ours - MAY_IMPORT[package]))}"


def test_every_package_is_under_the_rule():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"benchmarks", "tests"} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_function_fits_on_a_screen(path):
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION]
    assert long == []


def test_nothing_is_unpickled():
    """`pickle` is imported nowhere, and torch.load, which unpickles unless told not to, is always told so."""
    for path in FILES:
        assert not imported(path) & {"pickle", "cloudpickle", "dill", "joblib"}, path
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("torch.load"):
                assert "weights_only=True" in map(ast.unparse, call.keywords), path
