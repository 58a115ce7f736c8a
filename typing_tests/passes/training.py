"""Training as users write it."""

from typing import assert_type

import medsegany
from medsegany import benchmark, training

cases = training.find_cases("dataset", patients={"a": "p"})
assert_type(cases, list[training.TrainingCase])
split = training.split_cases(cases, validation=0.0, test=0.2, seed=1)
recipe = training.Recipe(epochs=3, train=["mask_decoder"], prompts={"box": 1.0})
machine = training.Machine(at_once=1, precision="bfloat16")
run = training.finetune(
    "sam2.1-t", cases, "run", recipe=recipe, machine=machine, split=split, labels={1: "liver"}
)
assert_type(run, training.FineTuned)
assert_type(run.outcome.best, float)
training.finetune(medsegany.load("sam2.1-t"), cases, "run", recipe=training.PAPER, labels=[1, 2])
assert_type(benchmark.table5("run", cases, tolerance_mm={1: 2.0}).markdown(), str)


class Mine:
    def __len__(self) -> int:
        return 1

    def clip(self, number: int, frames: int) -> training.Clip:
        raise NotImplementedError


clips: training.Clips = Mine()
