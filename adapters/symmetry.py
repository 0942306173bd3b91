# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "pillow"]
# [tool.nova-bench]
# name = "Symmetry (classical baseline)"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/px"
# sends = "local"
# ///
"""Classical baseline: an abnormality is what differs from the other side and from the rest of the brain.

No learning and no language model. The brain is peeled out of the head, the mirror line is estimated, and a
pixel counts by how far it lies outside the range of the mirrored neighbourhood, times how unusual its grey
value is in this brain; connected regions of such pixels become scored boxes. Captions put the measured
numbers into words, and the differential is a fixed list chosen by them. By construction it is blind to what
is alike on both sides, to the midline, and to what is hardly brighter or darker than normal; on sagittal
images, which have no mirror, only the unusual grey value is left. The settings are round numbers; a handful
of variants were compared on NOVA-mini, so its score there is a little kind to it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

import nova_bench as nb

GRID = 160  # px of the longer side of the working image
SLACK = 0.03  # of the head's size: how far two sides may be out of register
LIKE = 0.75  # correlation of the two sides under which an image has no mirror line
START = 1.0  # evidence above which a region starts
GROW = 0.35  # a region grows down to this share of its peak, or to START if that is less
MOST = 4  # boxes an image


@dataclass(frozen=True)
class Finding:
    """A region: box in px of the image, score 0-1, whether brighter than its mirror, centre (0-1)."""

    box: tuple[int, int, int, int]
    score: float
    bright: bool
    centre: tuple[float, float]
    share: float
    """Area over the brain's area."""


@dataclass(frozen=True)
class Reading:
    """What was measured in one image."""

    plane: str
    sequence: str
    findings: tuple[Finding, ...]


def load() -> nb.Adapter:
    """Return the adapter; there is nothing to load."""
    return nb.each(answer)


def answer(request: nb.Request) -> str:
    """Answer one request by its `ask`."""
    ask = request.ask or {}
    picture = request.images[-1] if request.images else None
    reading = read(picture.array()) if picture else None
    kind = ask.get("kind")
    if kind == "ground":
        found = reading.findings if reading else ()
        return json.dumps({"boxes": [{"box": list(f.box), "score": round(f.score, 4)} for f in found]})
    if kind == "diagnose":
        names = differential(reading)
        return json.dumps({"most_likely_diagnosis": names[0], "other_possible_diagnoses": names[1:5]})
    return describe(reading)


def read(pixels: np.ndarray) -> Reading:
    """Measure one image.

    Args:
        pixels: uint8 array (h, w) or (h, w, 3).
    """
    grey = pixels.astype(np.float32)
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    step = max(1, round(max(grey.shape) / GRID))
    rows, columns = grey.shape[0] // step, grey.shape[1] // step
    small = grey[: rows * step, : columns * step].reshape(rows, step, columns, step).mean(axis=(1, 3))
    top = float(np.percentile(small, 99))
    if min(rows, columns) < 16 or top < 8:
        return Reading("axial", "", ())
    small = small / top
    head = fill(small > 0.08)
    brain, scalp = peel(small, head)
    if brain.sum() < 64:
        return Reading("axial", "", ())
    values = small[brain]
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle))) + 0.02
    mirrored, likeness, line = mirror(small, brain, middle + 2 * spread)
    across, down = np.ptp(np.nonzero(head.any(axis=0))[0]), np.ptp(np.nonzero(head.any(axis=1))[0])
    # A head is longer than wide, so only sagittal slices are both unlike their mirror and wide.
    wide = across > 0.95 * down
    plane = "axial" if not wide else "sagittal" if likeness < LIKE else "coronal"
    rarity = blur(small - middle) / spread
    if plane == "sagittal":
        evidence = np.where(np.abs(rarity) > 3.0, rarity, 0.0) / 3.0
    else:
        radius = max(1, round(SLACK * float(np.sqrt(head.sum()))))
        low, high = spread_range(mirrored, radius)
        smooth = blur(small)
        outside = np.where(smooth > high, smooth - high, np.where(smooth < low, smooth - low, 0.0))
        evidence = outside / spread * np.clip(np.abs(rarity) / 2.0, 0.0, 1.0) * 1.5
    findings = regions(np.where(brain, opened(evidence), 0.0), brain, line, step)
    return Reading(plane, sequence_of(small, brain, middle, scalp), findings)


def shifted(image: np.ndarray, dy: int, dx: int, outside: float) -> np.ndarray:
    """Move an image by whole pixels, with a constant coming in."""
    out = np.full_like(image, outside)
    h, w = image.shape
    out[max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = image[
        max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
    ]
    return out


def blur(image: np.ndarray) -> np.ndarray:
    """Smooth with the kernel 1 2 1 in both directions, twice."""
    for _ in range(2):
        padded = np.pad(image, 1, mode="edge")
        image = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
        image = (image[:, :-2] + 2 * image[:, 1:-1] + image[:, 2:]) / 4
    return image


def erode(mask: np.ndarray) -> np.ndarray:
    """Take one layer (4-neighbours) off a mask."""
    out = mask.copy()
    for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        out &= shifted(mask, dy, dx, False)
    return out


def grow(mask: np.ndarray) -> np.ndarray:
    """Add one layer (8-neighbours) to a mask."""
    rows = mask | shifted(mask, 1, 0, False) | shifted(mask, -1, 0, False)
    return rows | shifted(rows, 0, 1, False) | shifted(rows, 0, -1, False)


def fill(mask: np.ndarray) -> np.ndarray:
    """Fill a mask: what lies between mask pixels both in its row and in its column is inside."""
    inside = mask.copy()
    for axis in (0, 1):
        before = np.maximum.accumulate(mask, axis=axis)
        after = np.flip(np.maximum.accumulate(np.flip(mask, axis), axis=axis), axis)
        inside = inside & before & after if axis else before & after
    return inside | mask


def peel(image: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, bool]:
    """Take scalp and skull off the head: layer by layer through the dark ring of bone, if there is one.

    Returns:
        The mask of the brain, and whether a bright scalp lay outside the ring.
    """
    size = float(np.sqrt(head.sum()))
    layers, profile, mask = [head], [], head
    for _ in range(max(2, round(0.16 * size))):
        inner = erode(mask)
        rim = image[mask & ~inner]
        profile.append(float(np.median(rim)) if rim.size else 0.0)
        layers.append(inner)
        mask = inner
    typical = float(np.median(image[mask])) if mask.any() else 1.0
    darkest = int(np.argmin(profile))
    if profile[darkest] > 0.55 * typical:  # no skull: a stripped brain
        return layers[1], False
    after = next((i for i in range(darkest, len(profile)) if profile[i] > 0.6 * typical), len(profile) - 1)
    return layers[min(after + 1, len(layers) - 1)], max(profile[: darkest + 1]) > 0.5 * typical


def mirror(
    image: np.ndarray, brain: np.ndarray, ceiling: float
) -> tuple[np.ndarray, float, tuple[float, float]]:
    """Mirror an image at the line that makes its two sides most alike.

    Returns:
        The mirrored image; the correlation of the two sides; the line as (slope, intercept) of
        x = slope * y + intercept.
    """
    y, x = np.nonzero(brain)
    centre_y, centre_x = float(y.mean()), float((x.min() + x.max()) / 2)
    # Clipped, so that a bright lesion cannot turn the line; smooth, so that folds need not match.
    smooth = np.minimum(image, ceiling) * brain
    for _ in range(4):
        smooth = blur(smooth)
    y, x = np.nonzero(smooth > 0.02)
    every = slice(None, None, 5)
    values = smooth[y[every], x[every]]
    best = (-2.0, 0.0, 0.0)

    def likeness(angle: float, offset: float) -> float:
        my, mx = reflect(y[every], x[every], angle, centre_y, centre_x + offset)
        other = smooth[np.clip(my, 0, image.shape[0] - 1), np.clip(mx, 0, image.shape[1] - 1)]
        return float(np.corrcoef(values, other)[0, 1]) if other.std() > 0 and values.std() > 0 else 0.0

    reach = max(2, image.shape[1] // 20)
    for angles, offsets in ((np.arange(-12, 13, 4), np.arange(-reach, reach + 1, 2)), (None, None)):
        if angles is None:
            angles, offsets = best[1] + np.arange(-2.0, 3.0), best[2] + np.arange(-1.0, 1.5, 0.5)
        for angle in angles:
            for offset in offsets:
                cost = 0.002 * abs(angle)  # patients lie nearly straight
                best = max(best, (likeness(float(angle), float(offset)) - cost, float(angle), float(offset)))
    correlation, angle, offset = best
    all_y, all_x = np.indices(image.shape)
    my, mx = reflect(all_y, all_x, angle, centre_y, centre_x + offset)
    inside = (my >= 0) & (my < image.shape[0]) & (mx >= 0) & (mx < image.shape[1])
    other = image[np.clip(my, 0, image.shape[0] - 1), np.clip(mx, 0, image.shape[1] - 1)]
    slope = float(np.tan(np.deg2rad(angle)))
    return np.where(inside, other, image), correlation, (slope, centre_x + offset - slope * centre_y)


def reflect(
    y: np.ndarray, x: np.ndarray, angle: float, centre_y: float, centre_x: float
) -> tuple[np.ndarray, np.ndarray]:
    """Reflect points at a line through a centre, `angle` degrees from the vertical; rounded to pixels."""
    turn = np.deg2rad(angle)
    normal_y, normal_x = -np.sin(turn), np.cos(turn)
    distance = (y - centre_y) * normal_y + (x - centre_x) * normal_x
    return np.rint(y - 2 * distance * normal_y).astype(int), np.rint(x - 2 * distance * normal_x).astype(int)


def opened(evidence: np.ndarray) -> np.ndarray:
    """Take away what is thinner than three pixels: sulci and vessels that miss their counterpart."""
    size = np.abs(evidence)
    low, _ = spread_range(size, 1, smooth=False)
    _, high = spread_range(low, 1, smooth=False)
    return np.sign(evidence) * np.minimum(size, high)


def spread_range(image: np.ndarray, radius: int, smooth: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest value within `radius` px (a square) of each pixel."""
    low = high = blur(image) if smooth else image
    for dy, dx in ((1, 0), (0, 1)):
        lows, highs = [low], [high]
        for k in range(1, radius + 1):
            for sign in (-k, k):
                lows.append(shifted(low, sign * dy, sign * dx, np.inf))
                highs.append(shifted(high, sign * dy, sign * dx, -np.inf))
        low, high = np.minimum.reduce(lows), np.maximum.reduce(highs)
    return low, high


def spread_from(seed: tuple[int, int], mask: np.ndarray) -> np.ndarray:
    """Return the part of a mask that is connected to a pixel of it."""
    part = np.zeros_like(mask)
    part[seed] = True
    while True:
        larger = grow(part) & mask
        if larger.sum() == part.sum():
            return part
        part = larger


def regions(
    evidence: np.ndarray, brain: np.ndarray, line: tuple[float, float], step: int
) -> tuple[Finding, ...]:
    """Turn evidence into findings, from the strongest pixel down; see `START` and `GROW`."""
    y, x = np.nonzero(brain)
    top, width, height = y.min(), float(np.ptp(x)) + 1, float(np.ptp(y)) + 1
    rest = np.abs(evidence)
    area = float(brain.sum())
    found: list[Finding] = []
    for _ in range(3 * MOST):
        seed = np.unravel_index(int(np.argmax(rest)), rest.shape)
        peak = float(rest[seed])
        if peak < START or len(found) == MOST:
            break
        part = spread_from((int(seed[0]), int(seed[1])), rest > min(GROW * peak, START))
        rest = np.where(grow(part), 0.0, rest)
        if part.sum() < 0.0012 * area:
            continue
        rows, columns = np.nonzero(part)
        box = tuple(
            int(step * edge) for edge in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        )
        strength = float(np.abs(evidence[part]).mean()) * float(np.sqrt(part.sum() / area))
        side = float(columns.mean()) - line[0] * float(rows.mean()) - line[1]
        centre = (0.5 + side / width, (float(rows.mean()) - top) / height)
        bright = float(evidence[part].mean()) > 0
        found.append(
            Finding(box, strength / (strength + 0.5), bright, centre, float(part.sum()) / area)  # type: ignore[arg-type]
        )
    return tuple(sorted(found, key=lambda f: -f.score))


def sequence_of(image: np.ndarray, brain: np.ndarray, middle: float, scalp: bool) -> str:
    """Guess the sequence from the share of bright and dark pixels in the brain, and from the scalp."""
    if not scalp:
        return "DWI"
    values = image[brain]
    bright, dark = float((values > 1.5 * middle).mean()), float((values < 0.5 * middle).mean())
    if bright > 0.10 and bright > dark:
        return "T2-weighted"
    return "T1-weighted" if middle > 0.62 else "FLAIR"


def place(finding: Finding, plane: str) -> str:
    """Name the place of a finding; the patient's right is at the left of axial and coronal images."""
    x, y = finding.centre
    if plane == "sagittal":
        return "the anterior part of the brain" if x < 0.5 else "the posterior part of the brain"
    side = "midline" if abs(x - 0.5) < 0.06 else "right" if x < 0.5 else "left"
    if plane == "coronal":
        lobe = "parietal region" if y < 0.35 else "temporal region" if y < 0.7 else "infratentorial region"
    else:
        lobe = "frontal lobe" if y < 0.38 else "temporoparietal region" if y < 0.68 else "occipital lobe"
    return f"the {side} {lobe}"


def describe(reading: Reading | None) -> str:
    """Say in words what was measured."""
    if reading is None:
        return "No image was given; no abnormality can be described."
    opening = " ".join(part for part in (reading.plane.capitalize(), reading.sequence, "image") if part)
    if not reading.findings:
        return f"{opening} shows symmetrical brain parenchyma without a focal abnormality."
    first = reading.findings[0]
    size = "large " if first.share > 0.06 else "small " if first.share < 0.012 else ""
    word = "hyperintense" if first.bright else "hypointense"
    text = f"{opening} shows a {size}{word} lesion in {place(first, reading.plane)}."
    if len(reading.findings) > 2:
        text += " There are further focal lesions of abnormal signal."
    return text


def differential(reading: Reading | None) -> list[str]:
    """Return five diagnoses for what was measured, most likely first; a general list without an image."""
    if reading is None or not reading.findings:
        return ["Glioblastoma", "Ischaemic infarct", "Multiple sclerosis", "Meningioma", "Brain metastasis"]
    first = reading.findings[0]
    if len(reading.findings) > 2:
        return [
            "Multiple sclerosis",
            "Brain metastasis",
            "Cerebral vasculitis",
            "Acute disseminated encephalomyelitis",
            "CADASIL",
        ]
    if first.bright and reading.sequence == "DWI":
        return [
            "Ischaemic infarct",
            "Pyogenic brain abscess",
            "Epidermoid cyst",
            "MELAS syndrome",
            "Lymphoma",
        ]
    if first.bright and reading.sequence == "T1-weighted":
        return ["Meningioma", "Glioblastoma", "Intracerebral haemorrhage", "Brain metastasis", "Lymphoma"]
    if first.bright:
        return ["Low-grade glioma", "Ischaemic infarct", "Encephalitis", "Glioblastoma", "Demyelination"]
    return [
        "Arachnoid cyst",
        "Cavernous malformation",
        "Intracerebral haemorrhage",
        "Chronic infarct",
        "Glioblastoma",
    ]
