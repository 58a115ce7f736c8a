"""The loop: it goes on where it stopped, to the bit, and stops where it must."""

import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve
from safetensors.torch import load_file
from training_makers import Discs

from medsegany import Box
from medsegany.backends.sam2 import Sam2Segmenter
from medsegany.errors import CheckpointError, InvalidInput, OutOfMemory, TrainingDiverged
from medsegany.testing.models import tiny_sam2
from medsegany.training import Clip, Machine, Recipe, draw_curves, read_log, train
from medsegany.training._weights import follow

# three steps an epoch, images and clips, a memory with dropout
RECIPE = Recipe(epochs=2, batch=4, learning_rate=1e-3, frames=2, augmentation=None, patience=None)


def model():
    return tiny_sam2(0, image_size=64)


def weights(folder):
    return load_file(folder / "best.safetensors")


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


class Kill(Exception):
    pass


def kill_at(step):
    def on_progress(progress):
        if progress.done == step:
            raise Kill

    return on_progress


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody stopped."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    train(model(), Discs(), evolve(RECIPE, average=0.9), folder)
    return folder


@pytest.mark.parametrize(("killed", "saved"), [(2, 1), (5, 2), (3, 3)])
def test_a_resumed_run_ends_with_the_same_bits(whole, tmp_path, killed, saved):
    """Killed after any step, whatever the interval: weights and log are those of the whole run."""
    recipe = evolve(RECIPE, average=0.9)
    with pytest.raises(Kill):
        train(model(), Discs(), recipe, tmp_path, save_every=saved, on_progress=kill_at(killed))
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == killed // saved * saved
    train(model(), Discs(), recipe, tmp_path, save_every=saved)
    assert_equal(weights(whole), weights(tmp_path))
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in read_log(tmp_path)]
    assert rows == [{k: v for k, v in row.items() if k != "seconds"} for row in read_log(whole)]


def test_a_paused_run_goes_on(tmp_path, whole):
    """`minutes=` ends it in order; the same call ends it for good."""
    recipe = evolve(RECIPE, average=0.9)
    paused = train(model(), Discs(), recipe, tmp_path, minutes=0)
    assert (paused.why, paused.step) == ("paused", 1)
    assert train(model(), Discs(), recipe, tmp_path).why == "done"
    assert_equal(weights(whole), weights(tmp_path))


def test_a_finished_run_is_not_done_again(whole):
    """The same call once more changes nothing."""
    before = (whole / "best.safetensors").read_bytes()
    assert train(model(), Discs(), evolve(RECIPE, average=0.9), whole).step == 6
    assert (whole / "best.safetensors").read_bytes() == before


def test_a_folder_of_another_recipe_is_refused(whole):
    """With what differs."""
    with pytest.raises(CheckpointError, match="was begun with batch=4, and now it is 2"):
        train(model(), Discs(), evolve(RECIPE, average=0.9, batch=2), whole)


def test_half_a_state_is_said_to_be_one(whole, tmp_path):
    """Cut by something else than us: the error names the file and what to do."""
    (tmp_path / "state.pt").write_bytes((whole / "state.pt").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be read.*Delete it to begin"):
        train(model(), Discs(), RECIPE, tmp_path)


def test_all_clips_of_an_epoch_are_drawn(tmp_path):
    """Twelve clips by four: numbers 0 to 11, then 12 to 23."""
    clips = Discs()
    train(model(), clips, evolve(RECIPE, frames=1, clips=0.0), tmp_path)
    assert clips.numbers == list(range(24))


def test_a_batch_in_parts_is_a_batch(tmp_path):
    """Two at once, twice, is four at once: the same gradients but for rounding."""
    recipe = evolve(RECIPE, epochs=1, clips=0.0)
    runs = {}
    for name, at_once in (("whole", None), ("parts", 2)):
        one = model()
        train(one, Discs(), recipe, tmp_path / name, machine=Machine(at_once=at_once))
        runs[name] = [row["gradient"] for row in read_log(tmp_path / name)]
    assert runs["parts"] == pytest.approx(runs["whole"], rel=1e-3)


def test_recomputing_changes_no_bit(tmp_path):
    """Gradient checkpointing is arithmetic done twice."""
    for name in ("plain", "again"):
        one = model()
        machine = Machine(recompute=name == "again")
        train(one, Discs(), evolve(RECIPE, epochs=1), tmp_path / name, machine=machine)
    assert_equal(weights(tmp_path / "plain"), weights(tmp_path / "again"))


def test_what_is_not_trained_does_not_change(tmp_path):
    """The paper freezes the prompt encoder; here everything but the decoder."""
    one = model()
    before = {name: value.clone() for name, value in one.state_dict().items()}
    train(one, Discs(), evolve(RECIPE, epochs=1, train=("mask_decoder",)), tmp_path)
    after = one.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("sam_mask_decoder.") for name in changed)


def test_a_small_model_learns_discs(tmp_path):
    """Twelve epochs on twelve images: the loss falls below a third of where it began."""
    recipe = evolve(RECIPE, epochs=12, frames=1, clips=0.0, prompts={"box": 1.0})
    train(model(), Discs(), recipe, tmp_path)
    losses = [row["loss"] for row in read_log(tmp_path)]
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) / 3


def test_a_loss_that_is_no_number_stops_with_its_batch(tmp_path):
    """No weight is spoilt, and what happened can be looked at."""
    one = model()
    with torch.no_grad():
        one.sam_mask_decoder.iou_prediction_head.layers[0].weight[0, 0] = float("nan")
    before = one.image_encoder.trunk.pos_embed.clone()
    with pytest.raises(TrainingDiverged, match=r"At step 1 the loss is no number.*not-finite\.npz"):
        train(one, Discs(), RECIPE, tmp_path)
    assert torch.equal(one.image_encoder.trunk.pos_embed, before)
    kept = np.load(tmp_path / "not-finite.npz")
    assert kept["frames"].shape[-3:] == (3, 64, 64)
    assert kept["step"] == 1
    assert not (tmp_path / "state.pt").exists()


def test_masks_alone_leave_something_to_learn(tmp_path):
    """A given mask is its own result: one frame is always left without."""
    recipe = evolve(RECIPE, epochs=1, prompts={"mask": 1.0}, reprompt=1.0, clips=1.0)
    train(model(), Discs(), recipe, tmp_path)
    assert all(row["loss"] > 0 for row in read_log(tmp_path))


def test_numpys_numbers_are_numbers(tmp_path):
    """A rate from `np.logspace` does not make the state unreadable."""
    recipe = evolve(RECIPE, epochs=1, clips=0.0, learning_rate=np.logspace(-3, -2, 2)[0])
    train(model(), Discs(), recipe, tmp_path, minutes=0, seed=np.int64(3))
    assert train(model(), Discs(), recipe, tmp_path, seed=3).why == "done"


def test_a_device_without_room_says_what_takes_less(tmp_path, monkeypatch):
    """The ladder, in its order."""

    def full(*_, **__):
        raise torch.OutOfMemoryError

    one = model()
    monkeypatch.setattr(one, "forward_image", full)
    with pytest.raises(OutOfMemory, match=r"Machine\(at_once=1\), recompute=True"):
        train(one, Discs(), RECIPE, tmp_path)


def test_a_score_that_is_none_chooses_nothing(tmp_path):
    """It would keep no weights at all."""
    with pytest.raises(InvalidInput, match="validate gave a dsc of nan"):
        train(model(), Discs(), RECIPE, tmp_path, validate=lambda _: {"dsc": math.nan})


def test_a_model_that_was_used_before_can_be_trained(tmp_path):
    """What it made in inference mode does not stand in the way."""
    one = model()
    clip = Discs().clip(0, 3)
    Sam2Segmenter(one, "used").segment_volume(clip.frames, Box(8, 11, 22, 25).at(0), slices=(0, 2))
    train(one, Discs(), evolve(RECIPE, epochs=1, clips=1.0), tmp_path)


def test_the_best_weights_are_kept_and_patience_runs_out(tmp_path):
    """DSC 0.4 before, 0.5, 0.7, 0.6, 0.6: two without improvement end it; the second's stay."""
    scores = iter([0.4, 0.5, 0.7, 0.6, 0.6, 0.9])
    seen = []

    def validate(upstream):
        seen.append({k: v.clone() for k, v in upstream.state_dict().items()})
        return {"dsc": next(scores)}

    recipe = evolve(RECIPE, epochs=5, patience=2, clips=0.0)
    done = train(model(), Discs(), recipe, tmp_path, validate=validate, validate_every=1)
    assert (done.why, done.step, done.best_step, done.best) == ("no improvement", 4, 2, 0.7)
    assert_equal(weights(tmp_path), seen[2])
    measured = [(row["step"], row["dsc"]) for row in read_log(tmp_path) if "dsc" in row]
    assert measured == [(0, 0.4), (1, 0.5), (2, 0.7), (3, 0.6), (4, 0.6)]


def test_what_is_never_better_than_the_base_is_the_base(tmp_path):
    """A training that harms leaves the weights that it began with."""
    scores = iter([0.9, 0.5, 0.5, 0.5])
    recipe = evolve(RECIPE, epochs=1, clips=0.0)
    before = {name: value.clone() for name, value in model().state_dict().items()}
    done = train(
        model(),
        Discs(),
        recipe,
        tmp_path,
        validate=lambda _: {"dsc": next(scores)},
        validate_every=1,
    )
    assert (done.best_step, done.best) == (0, 0.9)
    assert_equal(weights(tmp_path), before)


def test_without_validation_the_last_weights_are_the_result(tmp_path):
    """And no DSC is claimed."""
    done = train(model(), Discs(), evolve(RECIPE, epochs=1, clips=0.0), tmp_path)
    assert done.best_step == 3
    assert math.isnan(done.best)


def test_the_average_by_hand():
    """At step 1 two elevenths stay, whatever the recipe says; at step 1000 what it says."""
    layer = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(layer.weight, 11.0)
    average = {name: torch.zeros_like(value) for name, value in layer.state_dict().items()}
    follow(average, layer, 0.9, 1)
    assert average["weight"].item() == pytest.approx(9.0)
    follow(average, layer, 0.9, 1000)
    assert average["weight"].item() == pytest.approx(0.9 * 9.0 + 0.1 * 11.0)


def test_curves_are_drawn(whole):
    """A PNG of the loss, and of the DSC where there is one."""
    path = draw_curves(whole, "discs")
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_events_are_written_for_tensorboard(tmp_path):
    """A file of events beside the CSV."""
    train(model(), Discs(), evolve(RECIPE, epochs=1, clips=0.0), tmp_path, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_half_a_line_in_the_log_is_none(tmp_path, whole):
    """A power cut leaves half a row; it is dropped."""
    text = (whole / "log.csv").read_text()
    (tmp_path / "log.csv").write_text(text[:-20])
    assert len(read_log(tmp_path)) in {5, 6}


@pytest.mark.filterwarnings("ignore:This CPU does not compute in bfloat16")
def test_bfloat16_trains_on_a_cpu(tmp_path):
    """Slowly, perhaps, but with a loss near that of float32."""
    recipe = evolve(RECIPE, epochs=1, clips=0.0)
    losses = {}
    for precision in ("float32", "bfloat16"):
        folder = tmp_path / precision
        train(model(), Discs(), recipe, folder, machine=Machine(precision=precision))
        losses[precision] = read_log(folder)[0]["loss"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


_SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from attrs import evolve
from training_makers import Discs
from medsegany.testing.models import tiny_sam2
from medsegany.training import Machine, Recipe, train
recipe = Recipe(epochs=1, batch=4, learning_rate=1e-3, frames=2, augmentation=None, patience=None)
calls = []
def validate(upstream):
    calls.append(1)
    return {{"dsc": 0.5}}
done = train(tiny_sam2(0, image_size=64), Discs(), recipe, {folder!r}, machine=Machine("cpu"),
             validate=validate)
sys.stdout.write(f"done {{done.step}} {{len(calls)}}\\n")  # in one piece, beside the other's
"""


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    """Two CPU processes of Accelerate see one batch between them: gradients as of one process."""
    tests = str(Path(__file__).parents[1])
    logs = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        script = tmp_path / f"{processes}.py"
        script.write_text(_SCRIPT.format(tests=tests, folder=str(folder)))
        launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        found = subprocess.run(
            [*launch, str(script)], capture_output=True, text=True, check=False, timeout=300
        )
        assert found.returncode == 0, found.stderr[-3000:]
        assert found.stdout.count("done 3") == processes
        logs[processes] = [row["gradient"] for row in read_log(folder) if "loss" in row]
    one, two = logs[1], logs[2]
    assert two[0] == pytest.approx(one[0], rel=1e-3)
    assert (tmp_path / "2" / "best.safetensors").is_file()


_KILLED = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from training_makers import Discs
from medsegany.testing.models import tiny_sam2
from medsegany.training import Recipe, train
recipe = Recipe(epochs=4, batch=4, learning_rate=1e-3, frames=2, augmentation=None, patience=None)
train(tiny_sam2(0, image_size=64), Discs(), recipe, {folder!r}, save_every=1)
"""


def _written(path):
    """When a file was written last."""
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.slow
def test_kill_minus_nine_at_any_moment(tmp_path):
    """Killed again and again, by the operating system, in the midst of whatever it did."""
    tests = str(Path(__file__).parents[1])
    script = tmp_path / "run.py"
    script.write_text(_KILLED.format(tests=tests, folder=str(tmp_path / "killed")))
    chance, kills = np.random.default_rng(0), 0
    while kills < 5:
        state, seen = tmp_path / "killed" / "state.pt", _written(tmp_path / "killed" / "state.pt")
        process = subprocess.Popen([sys.executable, str(script)])
        while process.poll() is None and _written(state) == seen:
            time.sleep(0.01)  # some step was made
        time.sleep(float(chance.uniform(0, 1)))
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
    assert kills > 1
    found = subprocess.run([sys.executable, str(script)], check=False)
    assert found.returncode == 0
    recipe = evolve(RECIPE, epochs=4)
    torch.set_num_threads(1)
    train(model(), Discs(), recipe, tmp_path / "whole")
    assert_equal(weights(tmp_path / "killed"), weights(tmp_path / "whole"))


def test_a_clip_is_as_long_as_its_frames():
    """Two frames."""
    assert len(Clip(np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4), np.bool_))) == 2
