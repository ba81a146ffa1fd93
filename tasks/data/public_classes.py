"""Classes of public data sets that people refer to by name: in the order of their indices, some with colours."""

from __future__ import annotations

from dataclasses import dataclass

from .nyuv2_classes import NAMES_13, NAMES_40

Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class ClassList:
    """Classes by index, `void` among them: those pixels do not count."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...] = ()
    """One a class; empty where none are known."""
    values: tuple[int, ...] = ()
    """The pixel value of each class in a mask; empty where these are the indices."""


ADE20K = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door,
table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field, armchair,
seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest of drawers,
counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow,
screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop,
stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck,
tower, chandelier, awning, streetlight, booth, television receiver, airplane, dirt track, apparel, pole, land,
bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer,
plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank,
trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic
light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
"""
COCO_STUFF = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, parking
meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie,
suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis
racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog,
pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell
phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier, toothbrush,
banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other, ceiling-tile,
cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other,
floor-stone, floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel, ground-other,
hill, house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow,
plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea,
shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table, tent, textile-other,
towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel, wall-stone, wall-tile, wall-wood,
water-other, waterdrops, window-blind, window-other, wood
"""
CAMVID = "sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist"
CITYSCAPES = """
road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky, person, rider, car,
truck, bus, train, motorcycle, bicycle
"""
VOC = """
background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, motorbike,
person, pottedplant, sheep, sofa, train, tvmonitor
"""
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Of Cityscapes' 19 classes among the 34 values of its `labelIds` maps, whose others do not count."""
LABEL_ID_COUNT = 34


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _colours(text: str) -> tuple[Colour, ...]:
    values = [int(digits, 16) for digits in text.split()]
    return tuple((value >> 16, value >> 8 & 255, value & 255) for value in values)


def _bits(index: int) -> Colour:
    """PASCAL VOC's colour of a class: bits of the index, dealt to red, green and blue in turn from the highest down."""
    channels = [sum((index >> 3 * place + channel & 1) << 7 - place for place in range(8)) for channel in range(3)]
    return channels[0], channels[1], channels[2]


_CITYSCAPES_COLOURS = """
804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000 00008e 000046 003c64 005064
0000e6 770b20
"""
_LAND_USE = ClassList(
    names=("impervious surface", "building", "low vegetation", "tree", "car", "clutter"),
    colours=_colours("ffffff 0000ff 00ffff 00ff00 ffff00 ff0000"),
)
KNOWN_LISTS = {
    "ade20k": ClassList(names=_names(ADE20K)),
    "camvid": ClassList(names=(*_names(CAMVID), "void")),
    "cityscapes": ClassList(names=_names(CITYSCAPES), colours=_colours(_CITYSCAPES_COLOURS)),
    "coco-stuff": ClassList(names=_names(COCO_STUFF)),
    "loveda": ClassList(
        names=("background", "building", "road", "water", "barren", "forest", "agricultural"),
        colours=_colours("ffffff ff0000 ffff00 0000ff 9f81b7 00ff00 ffc380"),
    ),
    "nyuv2": ClassList(names=NAMES_13),
    "nyuv2-40": ClassList(names=NAMES_40),
    "potsdam": _LAND_USE,
    "vaihingen": _LAND_USE,
    "voc": ClassList(names=_names(VOC), colours=tuple(_bits(index) for index in range(21))),
}
"""By the names that `class_names` takes; their colours are those that the data sets publish."""
