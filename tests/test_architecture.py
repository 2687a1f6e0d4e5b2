"""The layers of the package, as a table, and the walk over the syntax trees that enforces it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "seepage"

BASE = {"records", "protocols", "_rng", "_files", "_user_code"}

# The one source: which part of the package may import which. A change to it is a decision record.
MAY_IMPORT = {
    "_rng": set(),
    "_files": {"records"},
    "_user_code": set(),
    "records": set(),
    "protocols": {"records"},
    "results": {"records"},
    "sections": set(),
    "sections_inversion": {"sections"},
    "study": {"records", "sections", "sections_inversion"},
    "dependence": {"records"},
    "states": {"records"},
    "data": BASE,
    "models": BASE,
    "gradients": BASE,
    "training": BASE | {"gradients", "states"},
    "reference": BASE | {"training", "federation", "signals", "states"},
    "defenses": BASE | {"training", "models", "dependence"},
    "federation": BASE | {"training", "models", "states"},
    "insiders": BASE | {"training", "models", "gradients", "states"},
    "inversion": BASE | {"training", "models", "dependence"},
    "observe": BASE | {"states"},
    "signals": BASE | {"gradients", "states"},
    "attacks": BASE,
    "metrics": BASE,
    "report": BASE | {"results"},
}
EVERY_STAGE = set(MAY_IMPORT)
MAY_IMPORT |= {"audit": EVERY_STAGE, "cli": {"audit", "study", "records", "results"}}
MAY_IMPORT |= {"__init__": EVERY_STAGE | {"audit"}, "__main__": {"cli"}}

NO_TORCH = {
    "_files",
    "_user_code",
    "records",
    "protocols",
    "results",
    "sections",
    "sections_inversion",
    "study",
    "attacks",
    "metrics",
    "report",
    "cli",
}

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def part(module: str) -> str:
    return module.split("/")[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    """Dotted names a module imports when it runs; what stands under TYPE_CHECKING is left out."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        else:
            found |= imports(node)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_layers(module):
    here = part(module)
    assert here in MAY_IMPORT, f"{here} is not in the table of layers"
    for name in imports(ast.parse((ROOT / module).read_text())):
        if name.startswith("seepage."):
            there = name.split(".")[1]
            if there in MAY_IMPORT:
                assert there in MAY_IMPORT[here] | {here}, f"{here} may not import {there}"
        if name.split(".")[0] == "torch":
            assert here not in NO_TORCH, f"{here} is free of torch"


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_stay_short(module):
    text = (ROOT / module).read_text()
    assert len(text.splitlines()) <= 300, "a file past 300 lines lists too much: split it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= 40, f"{node.name} has a body of {lines} lines"


def test_a_forbidden_import_is_caught():
    tree = ast.parse("def f():\n    from seepage.federation import rounds\n    import torch\n")
    assert imports(tree) == {"seepage.federation.rounds", "torch"}
