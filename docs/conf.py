"""How Sphinx builds these pages: `nox -s docs`. A warning is an error."""

import __future__

import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.metadata import version as _version
from types import CodeType, FunctionType, ModuleType


class _AsWritten(SourceFileLoader):
    """Loads medsegany so that the API pages show annotations as they are written, such as `Image`.

    Without it they would show what `Image` is made of, on a line of its own length. Nothing is
    cached, for the code differs from what users run.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        flags = __future__.annotations.compiler_flag
        return compile(self.get_data(path), path, "exec", flags=flags, dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for thing in list(vars(module).values()):
            members = vars(thing).values() if isinstance(thing, type) else ()
            for member in (thing, *members):
                function = getattr(member, "fget", getattr(member, "__func__", member))
                if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                    # typing.get_type_hints, which Sphinx asks, then leaves the strings alone
                    function.__no_type_check__ = True  # type: ignore[attr-defined]


class _Finder(PathFinder):
    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "medsegany":
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _AsWritten(spec.loader.name, spec.loader.path)
        return spec


sys.meta_path.insert(0, _Finder())

from docutils.nodes import Element  # noqa: E402 -- after the finder, as all below
from sphinx.addnodes import pending_xref  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.environment import BuildEnvironment  # noqa: E402

from medsegany.cards import CARDS  # noqa: E402

project = "medsegany"
author = "The medsegany developers"
copyright = f"2026, {author}"
release = version = _version("medsegany")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "tables"]  # tables are included by pages
nitpicky = True

# --- pages -----------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 3


def _models_table() -> str:
    """The table of docs/models.md, from the cards themselves."""
    rows = [
        "| `load(...)` | family | weights | looks at | file | licence |",
        "|---|---|---:|---|---|---|",
    ]
    for card in CARDS:
        weights = f"{card.parameters / 1e6:.1f} M" if card.parameters else "none"
        side = f"{card.image_size} px square" if card.image_size else "the image itself"
        size = f" ({card.bytes / 1e6:,.0f} MB)" if card.bytes else ""
        there = f"comes along{size}" if card.bytes else "none needed"
        file = f"[{card.file_name}]({card.url}){size}" if card.url else there
        rows.append(
            f'| `"{card.name}"` | {card.family} | {weights} | {side} | {file} | {card.licence} |'
        )
    return "\n".join(rows)


myst_substitutions = {"models_table": _models_table()}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# --- the gallery -----------------------------------------------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "image_scrapers": ("matplotlib",),
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": (),  # only what an example prints
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1000,  # seconds: how long the build took is nobody's concern here
    "reset_modules": (),  # the default resets seaborn too, which is not installed
    "doc_module": ("medsegany",),
}

# --- the API ---------------------------------------------------------------------------------

# No other project's pages are read while building; types of others are named and not linked.
intersphinx_mapping: dict[str, tuple[str, str | None]] = {}

autodoc_member_order = "bysource"
# Sphinx evaluates the annotations of overloads by itself; these stay as they are written.
autodoc_type_aliases = {"AnyWindow": "AnyWindow", "ArrayLike": "ArrayLike"}
autoclass_content = "class"
maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# The fields of attrs classes: their types are in the signature, their meaning in this block.
napoleon_custom_sections = [("Attributes", "params_style")]
# Docstrings write `code` in single backticks.
default_role = "code"

# Where each name is documented: annotations are written with the bare name, and classes live in
# private modules.
_HOMES = {
    "medsegany": "ModelCard",
    "medsegany.types": "Affine Image Labels Logits Mask Stack",
    "medsegany.prompts": (
        "AnyPrompt Box MaskPrompt ObjectPrompts Placed Point Prompt Prompts Where"
    ),
    "medsegany.results": "Segmentation VolumeSegmentation",
    "medsegany.volume": "NiftiCodes Volume",
    "medsegany.progress": "OnProgress Progress",
    "medsegany.protocols": (
        "Carrier Direction EmbeddedImage Frames Init Memory Overlap PlansAhead Propagation "
        "RemembersSlices Route Segmenter Slices Span Tracking"
    ),
    "medsegany.preprocess": "AnyWindow Window",
    "medsegany.propagation": "ByBox ByMemory MemoryEstimate",
    "medsegany.io": "Colour DicomSeries LabelMap NpzCase WrittenVideo",
    "medsegany.world": "Region Space",
    "medsegany.metrics": (
        "Comparison Directed Empty EmptyRule Evaluation Row Summary Surface SurfaceDistances "
        "Tolerance"
    ),
    "medsegany.checkpoints": "State",
    "medsegany.training": (
        "Augmentation BoxJitter Clip Clips Counts Embeddings FineTuned Loss Machine Outcome Part "
        "PromptKind Recipe Split TrainingCase Validate"
    ),
    "medsegany.backends.sam2": "Crop",
    "medsegany.benchmark": (
        "Average Case Cell DataRecipe Delta Disagreement EllipseSegmenter Engine Identity Inline "
        "Job Key Kind Manifest Measurement Metric Model Preparation Prepared Protocol Published "
        "Ran Ray Report ScoreTable Serial Source Status Table5"
    ),
    "medsegany.errors": (
        "CheckpointError DownloadError FileError InvalidGeometry InvalidImage InvalidInput "
        "InvalidPrompt "
        "MedSegAnyError MissingDependency OutOfMemory PromptNotSupported PropagationNotSupported "
        "TrainingDiverged UnknownModel"
    ),
}
_HOME_OF = {
    **{name: f"{module}.{name}" for module, names in _HOMES.items() for name in names.split()},
    # private classes, linked to the protocol that they fit
    "VideoTracking": "medsegany.protocols.Tracking",
    "BoxCarrier": "medsegany.protocols.Carrier",
    "MemoryCarrier": "medsegany.protocols.Carrier",
}


def _find_home(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element
) -> Element | None:
    """Resolve `Box`, or `medsegany.prompts._records.Box`, to where `Box` is documented."""
    home, _, name = node.get("reftarget", "").rpartition(".")
    ours = home == "" or home.partition(".")[0] == "medsegany"  # `sitk.Image` is not our Image
    if node.get("refdomain") != "py" or not ours or name not in _HOME_OF:
        return None
    python = env.domains.python_domain
    return python.resolve_xref(
        env, node["refdoc"], app.builder, "obj", _HOME_OF[name], node, contnode
    )


def _tidy(
    _app: Sphinx,
    _what: str,
    _name: str,
    _obj: object,
    _options: object,
    signature: str,
    returns: str,
) -> tuple[str, str] | None:
    """Show what says something, and not attrs' NOTHING or the signature of every Protocol."""
    if signature == "(*args, **kwargs)":
        return "", ""
    signature = re.sub(r"<function (\w+)>", r"\1", signature or "").replace("NOTHING", "...")
    return (signature, returns) if signature else None


def setup(app: Sphinx) -> None:
    app.connect("missing-reference", _find_home)
    app.connect("autodoc-process-signature", _tidy)


nitpick_ignore_regex = [
    # Types of other projects: nothing to link to without intersphinx.
    (r"py:.*", r"(np|numpy|pd|nib|nibabel|sitk|torch|segment_anything|sam2)\..*"),
    (r"py:.*", r"(NDArray|ArrayLike|Sam|SAM2VideoPredictor|SamPredictor)"),
    # The standard library: without intersphinx too.
    (r"py:.*", r"(collections\.abc\.|pathlib\.)?(Callable|Iterable|Mapping|Path|Sequence)"),
    (r"py:.*", r"(Any|Container|Iterator|Literal|Self)"),
    # Names for types of torch, kept where torch is imported late.
    (r"py:.*", r"(AnyDevice|AnyDtype|Device|Dtype)"),
    # Short names inside one file, whose meaning the text says.
    (r"py:.*", r"(medsegany\.prompts\._records\.)?(Accepts|Family|P_co)"),
]

# --- how it looks ----------------------------------------------------------------------------

html_theme = "furo"
html_extra_path = ["extra"]  # the example of a report, a page of its own
html_title = f"medsegany {version}"
html_theme_options = {
    "source_repository": "https://github.com/medsegany/medsegany/",
    "source_branch": "main",
    "source_directory": "docs/",
}
