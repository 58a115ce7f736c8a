"""What lies in the folder of a run."""

RUN = "run.json"
SPLIT = "split.json"
MODEL = "model"
