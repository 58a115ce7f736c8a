"""The stages of nano's training: how long each is, and what it sees."""

from collections.abc import Sequence

from attrs import evolve, field, frozen
from shapes import COMPACT, HOLLOW, THIN

from medsegany.training import Augmentation, BoxJitter, Recipe

EVERYTHING = ("image_encoder", "prompt_encoder", "mask_decoder", "memory")


@frozen
class Stage:
    """One stage.

    Attributes:
        image_size: Side of the square that the model looks at.
        steps: Of the optimiser.
        recipe: How it is trained.
        augmentation: How images are changed.
        changed: Part of the images that are.
        cut_out: Part of the images of which the surroundings of the object are shown, and not all.
        skipped: Part of the encoder's blocks that are skipped, by chance, while it learns.
        shapes: Of what is drawn.
        filled: Part of the drawn scenes where what an object encloses is of another tissue.
        vessels: How often trees of vessels are seen, as a part of what is usual.
        regions: Part of the real images whose object is a region that looks alike.
        remapped: Part of the images whose brightnesses get others.
        near: Part of the images of which a window into the object is shown.
        neighbours: Part of the clips that are slices of real volumes, as pools have them.
        ending: Part of the real clips whose object is made to end.
        hollow: Part of the images of which something real is shown that is bent or hollow.
        painted: Part of the images into which something bent or hollow is painted.
        lesions: Part of the images into which something compact of several tissues is.
        hearts: Part of the images into which a heart is.
        radiographs: Part of the images that are drawn as radiographs.
        skin: Part of the images that are drawn as skin with a lesion.
    """

    image_size: int
    steps: int
    recipe: Recipe
    augmentation: Augmentation = field(factory=Augmentation)
    changed: float = 0.5
    cut_out: float = 0.9
    skipped: float = 0.0
    shapes: Sequence[str] = COMPACT
    filled: float = 0.0
    vessels: float = 0.25
    regions: float = 0.0
    remapped: float = 0.0
    near: float = 0.0
    neighbours: float = 0.0
    ending: float = 0.0
    hollow: float = 0.0
    painted: float = 0.0
    lesions: float = 0.0
    hearts: float = 0.0
    radiographs: float = 0.0
    skin: float = 0.0


_COMMON = Recipe(
    weight_decay=0.05,
    train=EVERYTHING,
    prompts={"box": 0.9, "point": 0.05, "clicks": 0.05},
    jitter=BoxJitter(outward_px=0, fraction=0.02),
    augmentation=None,  # done here, before anything is cut out
    warmup=0.03,
    patience=None,
    average=0.999,
    reprompt=0.05,
)
STAGES = {
    # Harder than was good: the images it learnt from were segmented no better than others. Kept as
    # it was, since the other stages begin with its weights.
    1: Stage(
        128,
        4000,
        evolve(
            _COMMON,
            batch=8,
            learning_rate=1e-3,
            frames=1,
            clips=0.0,
            prompts={"box": 0.8, "point": 0.1, "clicks": 0.1},
        ),
        Augmentation(degrees=25, scale=1.3, intensity=0.4, noise=10, blur=1.5),
        changed=0.9,
        cut_out=0.8,
        skipped=0.1,
    ),
    2: Stage(128, 4500, evolve(_COMMON, batch=8, learning_rate=1e-3, frames=1, clips=0.0)),
    3: Stage(192, 2500, evolve(_COMMON, batch=8, learning_rate=5e-4, frames=3, clips=0.3)),
    4: Stage(192, 4500, evolve(_COMMON, batch=8, learning_rate=6e-4, frames=4, clips=0.35)),
    # What the fourth could not do: what is thin, hollow or in pieces, and images of other kinds
    # than those of the pools.
    5: Stage(
        192,
        4400,
        evolve(
            _COMMON,
            batch=8,
            learning_rate=8e-4,
            frames=4,
            clips=0.08,
            prompts={"box": 0.94, "point": 0.02, "clicks": 0.04},
        ),
        shapes=THIN,
        filled=0.5,
        vessels=1.0,
        regions=0.08,
        remapped=0.2,
    ),
    # What is thin, seen from near, and where objects end: the fifth could do neither. It begins
    # with what the fifth and the fourth gave together (`--weights`).
    6: Stage(
        192,
        5000,
        evolve(
            _COMMON,
            batch=8,
            learning_rate=6e-4,
            frames=4,
            clips=0.25,
            prompts={"box": 0.9, "point": 0.05, "clicks": 0.05},
            average=0.998,
        ),
        shapes=THIN,
        filled=0.5,
        vessels=0.25,
        regions=0.08,
        remapped=0.2,
        near=0.25,
        neighbours=0.4,
        ending=0.1,
    ),
}
# What is bent or hollow: even what it had learnt from, it filled. And more pixels.
STAGES[7] = evolve(
    STAGES[6],
    image_size=224,
    steps=6000,
    recipe=evolve(STAGES[6].recipe, learning_rate=8e-4, clips=0.12),
    shapes=(*THIN, *HOLLOW),
    filled=0.7,
    regions=0.05,
    near=0.15,
    hollow=0.25,
    painted=0.2,
)
# The seventh let its memory fade, and was stopped at step 2700; the eighth begins with the averaged
# weights of its state.
STAGES[8] = evolve(
    STAGES[7],
    steps=2800,
    recipe=evolve(STAGES[7].recipe, learning_rate=5e-4, clips=0.25, average=0.997),
    hollow=0.18,
    painted=0.14,
)
# What is compact and of several tissues, too, is marked whole; and clicks besides boxes.
STAGES[9] = evolve(
    STAGES[8],
    steps=9000,
    recipe=evolve(
        STAGES[8].recipe,
        learning_rate=8e-4,
        average=0.999,
        prompts={"box": 0.78, "point": 0.1, "clicks": 0.06, "box+clicks": 0.06},
    ),
    hollow=0.15,
    painted=0.09,
    lesions=0.12,
    hearts=0.05,
)
# Radiographs and skin, of which the pools have nearly nothing, drawn as such. Less of what is
# hollow, which is rare where nano is used, too. Boxes are less close.
STAGES[10] = evolve(
    STAGES[9],
    steps=5200,
    recipe=evolve(
        STAGES[9].recipe,
        learning_rate=6e-4,
        clips=0.17,
        jitter=BoxJitter(outward_px=0, fraction=0.03),
        prompts={"box": 0.78, "point": 0.14, "clicks": 0.04, "box+clicks": 0.04},
    ),
    near=0.12,
    hollow=0.08,
    painted=0.05,
    lesions=0.1,
    hearts=0.04,
    radiographs=0.1,
    skin=0.06,
)
