"""Training as it must not type-check."""

from medsegany import training

training.Machine(precision="float16")  # error
training.Recipe(train=["encoder"])  # error
training.Recipe(prompts={"scribble": 1.0})  # error
training.finetune("sam2.1-t", "dataset", "run")  # error
training.Loss(at="output")  # error
training.Recip()  # error


class Mine:
    def clip(self, number: int) -> training.Clip:
        raise NotImplementedError


clips: training.Clips = Mine()  # error
