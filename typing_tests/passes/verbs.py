"""What users write must type-check, and have the types that the docs promise."""

from collections.abc import Iterable
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import medsegany
from medsegany import (
    Box,
    ByBox,
    ByMemory,
    MaskPrompt,
    ModelCard,
    Point,
    Progress,
    Segmentation,
    Segmenter,
    Tracking,
    Volume,
    VolumeSegmentation,
)

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def images(segmenter: Segmenter, image: Image, mask: Mask) -> None:
    found = segmenter.segment_2d(image, Box(30, 42, 118, 97))
    assert_type(found, Segmentation)
    assert_type(found.mask, Mask)
    assert_type(found.score, float)
    segmenter.segment_2d(image, [Box(1, 2, 3, 4), Point(5, 6), Point(3, 4, positive=False)])
    segmenter.segment_2d(image, {1: Box(1, 2, 3, 4), 2: [Point(8, 9)], 3: MaskPrompt(mask)})
    embedded = segmenter.embed(image)
    assert_type(embedded.segment(Point(5, 6)), Segmentation)
    assert_type(embedded.shape, tuple[int, int])


def volumes(segmenter: Segmenter, stack: Image, other: Segmenter) -> None:
    volume = medsegany.io.read_volume("ct.nii.gz", window="abdomen")
    assert_type(volume, Volume)
    out = segmenter.segment_volume(volume, {1: Box(30, 42, 118, 97).at(57)}, init="default")
    assert_type(out, VolumeSegmentation)
    assert_type(out.masks[1], Mask)
    assert_type(out.visited[1], tuple[int, int])
    segmenter.segment_volume(stack, Point(1, 2).at(3), propagation=ByBox(margin_px=2))
    segmenter.segment_volume(stack, Box(1, 2, 3, 4).at(5), propagation=ByMemory(prompted="mask"))
    segmenter.segment_volume(stack, Box(1, 2, 3, 4).at(5), init="medsam", initializer=other)
    segmenter.segment_volume(stack, init="gt", reference=stack, slices={1: (2, 5)})
    medsegany.io.write_labels("seg.nii.gz", out.labels(), like=volume)


def videos(segmenter: Segmenter, frames: Iterable[Image]) -> None:
    tracking = segmenter.track_video(frames, {1: Box(30, 42, 118, 97).at(0)})
    assert_type(tracking, Tracking)
    for frame in tracking:
        assert_type(frame, Segmentation)
        assert_type(frame.index, int)
    assert_type(tracking.prompt(Point(1, 2)), Segmentation | None)
    with segmenter.track_video("film.mp4", Point(1, 2), length=7) as opened:
        next(opened)


def prompts_from_masks(labels: Image, segmenter: Segmenter, stack: Image) -> None:
    boxes = medsegany.prompts.boxes_from_labels(labels, "largest", margin_px=2)
    segmenter.segment_volume(stack, boxes)
    assert_type(medsegany.prompts.box_from_mask(labels), Box)


def values(array: NDArray[np.int16], volume: Volume) -> None:
    assert_type(medsegany.preprocess.to_display(array, "abdomen"), NDArray[np.uint8])
    assert_type(medsegany.preprocess.to_display(volume, "percentile"), Volume)
    assert_type(medsegany.load(), Segmenter)
    assert_type(medsegany.load("sam2.1-t", crop=1.5), Segmenter)
    assert_type(medsegany.load("sam2.1-t", crop=None), Segmenter)
    assert_type(medsegany.models(), list[ModelCard])
    assert_type(medsegany.metrics.dsc(array, array), float)
    assert_type(volume.spacing_mm, tuple[float, float, float])


def show(progress: Progress) -> None:
    assert_type(progress.total, int | None)


def told(segmenter: Segmenter, stack: Image) -> None:
    segmenter.segment_volume(stack, Box(1, 2, 3, 4).at(5), on_progress=show)
