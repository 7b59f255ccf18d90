"""`make bench` runs every script in benchmarks/ as it is, and the list there says what each shows."""

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"


def test_every_script_has_a_line_in_the_list():
    listed = re.findall(r"^\| `(\w+\.py)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in FOLDER.glob("*.py"))


def test_no_script_needs_an_argument():
    for path in FOLDER.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            if getattr(call.func, "attr", "") == "add_argument":
                assert call.args[0].value.startswith("-"), path.name
                assert "required" not in {each.arg for each in call.keywords}, path.name
