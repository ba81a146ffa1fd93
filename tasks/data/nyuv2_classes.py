"""NYUv2's classes: the 894 names of its labels in 40 (Gupta et al. 2013) and in 13 classes (Couprie et al. 2013).

The tables are those that are distributed as `classMapping40.mat` and `class13Mapping.mat`; spelling as there.
"""

from __future__ import annotations

NAMES_40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes",
    "ceiling", "books", "refridgerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard",
    "person", "night stand", "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture",
    "otherprop",
)  # fmt: skip
NAMES_13 = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv",
    "wall", "window",
)  # fmt: skip
TO_13 = (
    12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5, 7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7,
    7, 7, 7, 7, 7, 6, 7,
)  # fmt: skip
"""Of each of the 40 classes the one of the 13; both counted from 1, 0 being unlabelled."""

LABELS = 894
SINGLE = (
    21, 11, 3, 157, 5, 83, 19, 28, 59, 88, 64, 7, 80, 36, 42, 89, 169, 119, 122, 143, 141, 4, 85, 17, 172, 15,
    135, 123, 26, 45, 331, 158, 124, 24, 144, 136, 55,
)  # fmt: skip
"""The label, counted from 1, of each of the first 37 of the 40 classes."""
OTHER_STRUCTURE = (
    8, 25, 33, 38, 51, 53, 57, 58, 62, 65, 79, 94, 104, 112, 134, 153, 215, 216, 223, 225, 238, 241, 242, 256,
    295, 301, 339, 342, 354, 363, 372, 380, 392, 408, 412, 453, 456, 463, 477, 497, 541, 550, 553, 567, 573,
    582, 591, 609, 612, 615, 642, 645, 657, 658, 659, 663, 667, 668, 686, 700, 702, 777, 778, 782, 850, 861,
    868, 874,
)  # fmt: skip
OTHER_FURNITURE = (
    12, 43, 48, 50, 87, 106, 111, 161, 163, 174, 183, 204, 214, 219, 221, 224, 236, 262, 278, 291, 298, 313,
    343, 344, 356, 359, 373, 393, 401, 414, 418, 419, 430, 443, 444, 447, 448, 457, 458, 460, 462, 475, 479,
    485, 486, 493, 494, 498, 499, 509, 510, 515, 521, 524, 540, 549, 551, 554, 556, 558, 576, 580, 608, 625,
    703, 734, 770, 772, 797, 800, 803, 804, 813, 814, 815, 820, 829, 835, 858, 863, 882, 892,
)  # fmt: skip
"""The labels of the next two; all that are left are other props."""


def class_of_labels() -> tuple[int, ...]:
    """The class, one of 40, of each of the labels 1 to 894."""
    numbers = {label: number for number, label in enumerate(SINGLE, 1)}
    numbers |= dict.fromkeys(OTHER_STRUCTURE, 38) | dict.fromkeys(OTHER_FURNITURE, 39)
    return tuple(numbers.get(label, 40) for label in range(1, LABELS + 1))
