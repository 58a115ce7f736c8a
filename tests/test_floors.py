"""Who may know what: a file imports from its own floor or below."""

import ast
from pathlib import Path

import medsegany

ROOT = Path(medsegany.__file__).parent
FLOORS = [
    {"errors", "types", "_optional", "_validate", "_lps", "_rescale", "_levels", "_sha256"},
    {"prompts", "results", "_segmentations", "progress", "volume", "world"},
    {"protocols"},
    {
        "preprocess",
        "postprocess",
        "metrics",
        "propagation",
        "io",
        "cards",
        "checkpoints",
        "_download",
        "_folder",
        "overlays",
    },
    {"registry"},
    {"backends", "testing"},
    {"benchmark", "training"},
    {"cli", "demo", "apps", "__main__"},
]
TORCH = {"torch", "torchvision", "sam2", "segment_anything", "hydra", "omegaconf"}


def floor(module):
    return next(level for level, names in enumerate(FLOORS) if module in names)


def imports(path):
    """Dotted names of everything that a file imports, at its top or inside."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            if node.module == "medsegany":
                yield from (f"medsegany.{alias.name}" for alias in node.names)
            else:
                yield node.module


def files():
    for path in sorted(ROOT.rglob("*.py")):
        module = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if module != "__init__":
            yield path, module


def test_every_module_stands_on_a_floor():
    for _, module in files():
        floor(module)


def test_a_file_imports_from_its_own_floor_or_below():
    for path, module in files():
        for name in imports(path):
            if name == "medsegany":  # the whole package: for those who use it, not for its parts
                assert floor(module) == 7, path
            if name.startswith("medsegany."):
                other = name.split(".")[1]
                if (ROOT / other).exists() or (ROOT / f"{other}.py").exists():
                    assert floor(other) <= floor(module), f"{path} imports {name}"


def test_torch_and_the_official_packages_are_known_to_backends_alone():
    allowed = {"backends", "testing", "training"}
    for path, module in files():
        if module in allowed:
            continue
        for name in imports(path):
            top = name.split(".")[0]
            # the registry names torch's types for type checkers
            assert top not in TORCH or (module == "registry" and top == "torch"), f"{path}: {name}"


def test_hydra_and_sam2_s_internals_have_one_home_each():
    for path, _ in files():
        tops = {name.split(".")[0] for name in imports(path)}
        if "hydra" in tops:
            assert path.name == "_build.py"
        if "_run_single_frame_inference" in path.read_text():
            assert path.name == "_tracker.py"
