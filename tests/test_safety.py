"""Nothing in the package runs what a file says: no code of strangers, no pickles, no shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path for room in ("src", "scripts", "benchmarks", "research", "examples") for path in (ROOT / room).rglob("*.py")
)
IMAGES = ROOT / "src" / "perceptio" / "images.py"
UNPICKLERS = (ROOT / "src" / "perceptio" / "data" / "plain_pickle.py",)  # refuses every class, as its tests show
MUST_SAY = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
NEVER = (
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.full_load",
    "yaml.unsafe_load",
)


def wrong(tree: ast.AST, path: Path) -> Iterator[str]:
    """What a source file does that none may."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            said = {keyword.arg: keyword.value for keyword in node.keywords}
            if name in NEVER:
                yield f"{name}()"
            if name in MUST_SAY:
                argument, value = MUST_SAY[name]
                if not is_constant(said.get(argument), value):
                    yield f"{name}() without {argument}={value}"
            automatic = name.startswith("Auto") and name.endswith(".from_pretrained")
            if automatic and not is_constant(said.get("trust_remote_code"), False):
                yield f"{name}() without trust_remote_code=False"
            if "shell" in said and not is_constant(said["shell"], False):
                yield "shell="
            if "trust_remote_code" in said and not is_constant(said["trust_remote_code"], False):
                yield "trust_remote_code="
            if "weights_only" in said and not is_constant(said["weights_only"], True):
                yield "weights_only="
            if name.endswith(("Image.open", "Image.fromstring")) and path != IMAGES:
                yield f"{name}(): pictures are opened by perceptio.images"
            if name.endswith(".splitlines") and "read" in name:
                yield f"{name}(): lines of files end with \\n alone, see perceptio.files"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "weights_only=False" in node.value:
            yield "advice to read pickles"
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        module = node.module if isinstance(node, ast.ImportFrom) else None
        pickles = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
        if pickles & {*names, module} and names != ["UnpicklingError"] and path not in UNPICKLERS:
            yield "pickle"


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_runs_what_it_reads(path: Path) -> None:
    assert not list(wrong(ast.parse(path.read_text(encoding="utf-8")), path))


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "np.load(x)",
        "yaml.load(x)",
        "subprocess.run(x, shell=True)",
        "A.from_pretrained(x, trust_remote_code=True)",
        "AutoTokenizer.from_pretrained(x)",
        "Image.open(x)",
        "import pickle",
        "from pickle import loads",
        "path.read_text().splitlines()",
        "print('give weights_only=False')",
    ],
)
def test_each_of_them_would_be_found(source: str) -> None:
    assert list(wrong(ast.parse(source), ROOT / "src" / "a.py"))
