"""Every option of the configuration says what it is for, right below it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCHEMAS = ["loop/config/schema.py", "loop/engine/config.py", "stylematte/config.py", "stylemattegan/config.py"]


def is_text(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_option_has_its_reason_below_it(name: str) -> None:
    classes = [node for node in ast.parse((ROOT / name).read_text()).body if isinstance(node, ast.ClassDef)]
    configs = [node for node in classes if node.name.endswith("Config")]
    assert configs
    for config in configs:
        for field, below in zip(config.body, [*config.body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign):
                continue
            section = "default_factory=" in ast.unparse(field) and "Config" in ast.unparse(field)
            inherited = ast.unparse(field.target) in {"variant", "takes_trimap"}
            assert section or inherited or is_text(below), f"{config.name}.{ast.unparse(field.target)}"
