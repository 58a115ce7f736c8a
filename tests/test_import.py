"""`import medsegany` is light, and leaves the caller's program as it was."""

import subprocess
import sys
import textwrap

import pytest


def python(code):
    """Run in a fresh interpreter, warnings as errors; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HEAVY = ["torch", "torchvision", "sam2", "hydra", "segment_anything", "skimage", "SimpleITK", "av"]


def test_importing_medsegany_imports_nothing_heavy():
    loaded = python(f"""
        import sys, medsegany
        print([name for name in {HEAVY} if name in sys.modules])
    """)
    assert loaded == "[]"


def test_the_baseline_needs_no_torch():
    loaded = python("""
        import sys, numpy, medsegany
        image, box = numpy.zeros((20, 20), "uint8"), medsegany.Box(2, 2, 9, 9)
        medsegany.load("classical").segment_2d(image, box)
        print("torch" in sys.modules)
    """)
    assert loaded == "False"


def test_the_benchmark_needs_no_torch_until_a_model_does():
    loaded = python("""
        import sys
        import medsegany.benchmark
        from medsegany.training import find_cases
        before = "torch" in sys.modules
        from medsegany.training import Recipe
        print(before, "torch" in sys.modules)
    """)
    assert loaded == "False True"


def test_help_needs_no_torch():
    loaded = python("""
        import sys
        from medsegany.cli import app
        print("torch" in sys.modules)
    """)
    assert loaded == "False"


class TestHydra:
    def test_an_initialised_hydra_is_used_by_nobody_and_left_as_it_was(self, tmp_path):
        """Inside somebody's hydra application: their configuration composes before and after."""
        (tmp_path / "mine.yaml").write_text("answer: 42\n")
        said = python(f"""
            from hydra import compose, initialize_config_dir
            from hydra.core.global_hydra import GlobalHydra
            initialize_config_dir({str(tmp_path)!r}, version_base="1.3")
            before = GlobalHydra.instance().hydra
            from medsegany.testing.models import small_sam2
            small_sam2(image_size=64)
            assert GlobalHydra.instance().hydra is before
            print(compose("mine").answer)
        """)
        assert said == "42"

    def test_a_hydra_that_was_not_initialised_still_is_not(self, tmp_path):
        """`import sam2` alone would initialise it, and the caller's own start would fail."""
        (tmp_path / "mine.yaml").write_text("answer: 42\n")
        said = python(f"""
            from hydra import compose, initialize_config_dir
            from hydra.core.global_hydra import GlobalHydra
            from medsegany.testing.models import small_sam2
            small_sam2(image_size=64)
            assert not GlobalHydra.instance().is_initialized()
            initialize_config_dir({str(tmp_path)!r}, version_base="1.3")
            print(compose("mine").answer)
        """)
        assert said == "42"

    def test_sam2_s_own_builders_work_before_and_after(self):
        """Whoever comes first: its import starts hydra whenever it is the caller's own."""
        python("""
            import sys
            from medsegany.testing.models import small_sam2
            model = small_sam2(image_size=64)
            assert "sam2" not in sys.modules
            import importlib.util
            assert importlib.util.find_spec("sam2") is not None  # looking is not importing
            from sam2.build_sam import build_sam2_video_predictor
            theirs = build_sam2_video_predictor("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu")
            assert type(theirs) is type(model)
            import sam2.utils.misc
            assert sam2.utils.misc is sys.modules["sam2.utils.misc"]
            small_sam2(image_size=64)
            assert "sam2" in sys.modules
        """)

    def test_no_other_global_of_hydra_is_touched(self):
        python("""
            from hydra.core.singleton import Singleton
            from hydra import version
            version.setbase("1.3")
            before = set(Singleton._instances)
            from medsegany.testing.models import small_sam2
            assert set(Singleton._instances) == before
            assert str(version.getbase()) == "1.3"
        """)

    def test_a_caller_who_imported_sam2_first_can_go_on_with_it(self):
        python("""
            import sam2
            from medsegany.testing.models import small_sam2
            small_sam2(image_size=64)
            from hydra import compose
            compose("configs/sam2.1/sam2.1_hiera_t.yaml")
        """)


def test_a_missing_package_comes_with_the_command_that_installs_it():
    from medsegany._optional import optional_import
    from medsegany.errors import MissingDependency

    with pytest.raises(MissingDependency, match=r"pip install 'medsegany\[plots\]'") as error:
        optional_import("no_such_package", extra="plots", purpose="draw curves")
    assert isinstance(error.value.__cause__, ImportError)
