# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "scipy", "pillow"]
# [tool.nova-bench]
# name = "Cup and disc (classical baseline)"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""Classical baseline for grey fundus pictures: finds the optic disc, measures the cup, answers by rules.

No learning and no language model. The disc is the bright place where vessels meet; rays from its middle are cut
into cup, rim and retina, each of one grey level, vessels left out; the contours are smoothed, and their heights give
the vertical cup-to-disc ratio and the rim at both poles. A disc taller than a fifth of the picture's width is taken
for one with a crescent of atrophy, and measured on its other side. Drusen are small bright spots beside the fovea, a haemorrhage is a short dark
mark on the disc's margin, and a few simple measures tell how good the picture is. Keywords of the question choose the
answer. By construction it is weak where a haemorrhage lies on a vessel, where rim and retina are alike, and in blur.
The settings are round numbers; a handful of variants were compared on FMBench-mini, so its score there is kind to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

import nova_bench as nb

WORK = 320  # px of the longer side of the working image
RAYS = 48
REACH = 50.0  # px: length of a ray
STEP = 1.0  # px along a ray
BLOCK = 4  # px: what varies slowly is worked out on blocks
DISC_PX = (20.0, 42.0)  # least and greatest radius of a disc
LARGE = 0.55  # cup-to-disc ratio from which on a disc is suspect
THIN = 0.13  # of the disc's height: a rim that looks thinner (soft edges widen it) is thinned
BLOT = 0.37  # darkness, in units of the light, from which a blot is a haemorrhage
SOME, MANY = 2, 7  # bright spots from which there are drusen, and many
TALL = 0.197  # of the picture's width: a taller disc is a disc with a crescent beside it


@dataclass(frozen=True)
class Disc:
    """The optic disc: middle and height, px of the working image, and what was measured in it."""

    centre: tuple[float, float]
    """x, y."""
    height: float
    ratio: float
    rims: tuple[float, float]
    """At the upper and the lower pole, in heights of the disc."""
    crescent: bool


@dataclass(frozen=True)
class Reading:
    """What was found in one picture; the defaults are what is most likely where nothing can be measured."""

    ratio: float = 0.5
    thin: tuple[str, ...] = ()
    bleeds: bool = False
    place: str = "inferotemporal"
    """Where the darkest blot on the disc's margin is, be it a haemorrhage or not."""
    drusen: int = 0
    crescent: bool = False
    eye: str = "right"
    quality: str = "good"
    limit: str = ""

    @property
    def glaucoma(self) -> str:
        """Yes, suspect or no."""
        if self.thin:
            return "yes"
        return "suspect" if self.ratio >= LARGE or self.bleeds else "no"


def load() -> nb.Adapter:
    """Return the adapter; there is nothing to load."""
    known: dict[str, Reading] = {}

    def answer(request: nb.Request) -> str:
        reading = Reading()
        if request.images:
            picture = request.images[-1]
            if picture.digest not in known:  # several questions are about one picture
                known[picture.digest] = read(picture.array())
            reading = known[picture.digest]
        ask = request.ask or {}
        if ask.get("kind") == "report":
            return describe(reading)
        return respond(str(ask.get("question") or request.text), reading)

    return nb.each(answer)


def read(pixels: np.ndarray) -> Reading:
    """Measure one picture.

    Args:
        pixels: uint8 array (h, w) or (h, w, 3), of any size.
    """
    grey = pixels.astype(np.float64)
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    if min(grey.shape) < 32 or np.ptp(grey) < 8:
        return Reading()
    scale = WORK / max(grey.shape)
    if abs(scale - 1.0) > 0.02:
        smooth = ndimage.gaussian_filter(grey, 0.5 / scale) if scale < 1 else grey
        grey = ndimage.zoom(smooth, scale, order=1)
    if min(grey.shape) < 96:
        return Reading()
    grey = grey[: grey.shape[0] // BLOCK * BLOCK, : grey.shape[1] // BLOCK * BLOCK]
    grey = grey / max(float(np.percentile(grey, 99.0)), 1.0)
    smooth = ndimage.gaussian_filter(grey, 1.0)
    closed = ndimage.grey_closing(smooth, size=(9, 9))  # fills vessels
    usual = float(np.median(closed))
    lit = (closed > 0.35 * usual).astype(float)  # not in the shade of a blink
    light = mean_under(blocks(np.minimum(closed, 1.35 * usual) * lit), blocks(lit), 40.0) + 1e-3
    ground = ndimage.zoom(light, BLOCK, order=1, grid_mode=True, mode="nearest")
    even, dark = smooth / ground, lit * (closed - smooth) / ground
    start = locate(blocks(np.clip(closed / ground, 0.7, 1.6) * lit), blocks(dark), blocks(lit))
    disc = measure(even, lit / (1.0 + (dark / 0.05) ** 2), start)
    right = disc.centre[0] > grey.shape[1] / 2
    quality, limit = judge(grey / ground, light, dark, lit)
    place, depth = bleeding(dark, disc, right)
    return Reading(
        ratio=disc.ratio,
        thin=tuple(p for p, rim in zip(("superior", "inferior"), disc.rims, strict=True) if rim < THIN),
        bleeds=depth > BLOT,
        place=place,
        drusen=count_drusen(even, disc, right),
        crescent=disc.crescent,
        eye="right" if right else "left",
        quality=quality,
        limit=limit,
    )


def blocks(values: np.ndarray) -> np.ndarray:
    """Return the means of blocks of `BLOCK` x `BLOCK` px."""
    rows, columns = values.shape
    return values.reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK).mean(axis=(1, 3))


def mean_under(values: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Return the Gaussian mean of blocks where a mask left something; `values` are 0 elsewhere, `sigma` is in px."""
    wide = sigma / BLOCK
    return ndimage.gaussian_filter(values, wide) / (ndimage.gaussian_filter(mask, wide) + 1e-2)


def locate(even: np.ndarray, dark: np.ndarray, lit: np.ndarray) -> tuple[float, float]:
    """Return x, y, px, of the place that is brightest and richest in vessels at the scale of a disc; all on blocks."""
    bright = mean_under(even, lit, 12.0) - mean_under(even, lit, 33.0)
    vessels = ndimage.gaussian_filter(np.clip(dark, 0.0, 0.3), 12.0 / BLOCK)
    score = bright / (bright.std() + 1e-9) + 0.35 * (vessels - vessels.mean()) / (vessels.std() + 1e-9)
    score[ndimage.gaussian_filter(lit, 12.0 / BLOCK) < 0.5] = -np.inf
    down, across = int(0.15 * even.shape[0]), int(0.08 * even.shape[1])
    inner = score[down:-down, across:-across]
    y, x = np.unravel_index(int(np.argmax(inner)), inner.shape)
    return (x + across + 0.5) * BLOCK - 0.5, (y + down + 0.5) * BLOCK - 0.5


def smoothed(radii: np.ndarray, weight: np.ndarray, order: int) -> np.ndarray:
    """Return a closed contour as a Fourier series of its radii, px; outliers are weighted down by 1 / (1 + (r / 2 px)^2)."""
    turn = np.arange(RAYS) * 2.0 * np.pi / RAYS
    waves = [np.ones(RAYS), *(f(k * turn) for k in range(1, order + 1) for f in (np.cos, np.sin))]
    design, now = np.stack(waves, axis=1), weight
    fitted = radii
    for _ in range(8):
        root = np.sqrt(now)
        fitted = design @ np.linalg.lstsq(design * root[:, None], radii * root, rcond=None)[0]
        now = weight / (1.0 + ((radii - fitted) / 2.0) ** 2)
    return np.clip(fitted, STEP, REACH)


def cut(values: np.ndarray, weight: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut each ray into cup, rim and retina so that it differs least from their levels.

    Args:
        values: float array (RAYS, n), grey along rays.
        weight: float array (RAYS, n).
        levels: float array (3,).

    Returns:
        The radii at which cup and rim end, px, float arrays (RAYS,).
    """
    n = values.shape[1]
    first, second = np.meshgrid(
        np.arange(n), np.arange(int(DISC_PX[0] / STEP), int(DISC_PX[1] / STEP)), indexing="ij"
    )
    possible = second - first >= 3
    first, second = first[possible], second[possible]
    cost = weight * (values - levels[:, None, None]) ** 2
    cost = ndimage.uniform_filter1d(cost, 3, axis=1, mode="wrap")
    cup, rim, retina = np.pad(np.cumsum(cost, axis=2), ((0, 0), (0, 0), (1, 0)))
    loss = cup[:, first] + rim[:, second] - rim[:, first] + retina[:, -1:] - retina[:, second]
    best = loss.argmin(axis=1)
    return first[best] * STEP, second[best] * STEP


def measure(even: np.ndarray, weight: np.ndarray, start: tuple[float, float]) -> Disc:
    """Fit contours of cup and disc around a starting point; levels and contours take turns."""
    turn = np.arange(RAYS) * 2.0 * np.pi / RAYS
    across, up = np.cos(turn), np.sin(turn)
    r = np.arange(STEP / 2.0, REACH, STEP)
    x, y = start
    temporal = across * (-1.0 if x > even.shape[1] / 2 else 1.0) > 0.1
    levels = np.zeros(3)
    crescent = False
    for number in range(4):
        at = [y - np.outer(up, r), x + np.outer(across, r)]
        values = ndimage.map_coordinates(even, at, order=1, mode="nearest")
        trust = ndimage.map_coordinates(weight, at, order=1, mode="nearest")
        if number == 0:
            high, low = float(np.percentile(values[:, r < 20], 97)), float(np.median(values[:, r > 38]))
            levels = np.array([high, (high + low) / 2.0, low])
        inner, outer = cut(values, trust, levels)
        whole = trust.mean(axis=1) + 1e-3
        disc = smoothed(outer, whole, 2)
        if number == 2:
            crescent = bool(np.ptp(up * disc) > TALL * even.shape[1])
        if crescent:
            trust = np.where(temporal[:, None] & (r > disc[:, None] * 0.8), 0.0, trust)
            disc = smoothed(outer, whole * ~temporal, 1)
        cup = np.minimum(smoothed(inner, whole, 3), disc)
        inside, edge = r - cup[:, None], r - disc[:, None]
        regions = (inside < -1.0, (inside > 1.5) & (edge < -1.5), edge > 2.0)
        levels = relevelled(levels, values, [trust * region for region in regions])
        if number < 2:
            x += float((across * disc).max() + (across * disc).min()) / 2.0
            y -= float((up * disc).max() + (up * disc).min()) / 2.0
            x, y = float(np.clip(x, 0, even.shape[1] - 1)), float(np.clip(y, 0, even.shape[0] - 1))
    height = float(np.ptp(up * disc))
    above = float((up * disc).max() - (up * cup).max()) / height
    below = float((up * cup).min() - (up * disc).min()) / height
    return Disc((x, y), height, float(np.clip(1.0 - above - below, 0.0, 1.0)), (above, below), crescent)


def relevelled(levels: np.ndarray, values: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean grey of cup, rim and retina under their weights; the rim's stays well between the others'."""
    known = [weight.sum() > 60.0 for weight in weights]
    means = [(weight * values).sum() / (weight.sum() + 1e-9) for weight in weights]
    new = np.where(known, means, levels)
    span = new[0] - new[2]
    if span < 0.05:
        return levels
    new[1] = np.clip(new[1], new[2] + 0.15 * span, new[2] + 0.75 * span)
    return new


def bleeding(dark: np.ndarray, disc: Disc, right: bool) -> tuple[str, float]:
    """Return where on the temporal half of the disc's margin the darkest blot lies, and how dark it is."""
    y, x = np.indices(dark.shape)
    half = disc.height / 2.0
    out = (disc.centre[0] - x) * (1.0 if right else -1.0) / half
    far = np.hypot(x - disc.centre[0], y - disc.centre[1]) / half
    # An opening takes away what is thinner than three pixels: the small vessels.
    blots = ndimage.grey_opening(ndimage.gaussian_filter(dark, 0.6), size=(3, 3))
    zone = np.where((far > 0.8) & (far < 1.4) & (out > 0.35), blots, 0.0)
    row = np.unravel_index(int(np.argmax(zone)), zone.shape)[0]
    return ("superotemporal" if row < disc.centre[1] else "inferotemporal"), float(zone.max())


def count_drusen(even: np.ndarray, disc: Disc, right: bool) -> int:
    """Return how many small bright spots lie around the place where the fovea should be."""
    x = disc.centre[0] + disc.height * (-2.45 if right else 2.45)
    y = disc.centre[1] + 0.25 * disc.height
    rows, columns = np.indices(even.shape)
    near = np.hypot(columns - x, rows - y) < WORK / 8
    spots = ndimage.white_tophat(ndimage.gaussian_filter(even, 1.0), size=(9, 9))
    labels, _ = ndimage.label((spots > 0.1) & near)
    return int(np.sum(np.bincount(labels.ravel())[1:] >= 4))


def judge(even: np.ndarray, light: np.ndarray, dark: np.ndarray, lit: np.ndarray) -> tuple[str, str]:
    """Return how good a picture is, and what limits it.

    Args:
        even: float array (h, w), the picture over its ground, not smoothed.
        light: float array, the light that falls on its blocks.
        dark: float array (h, w), how much darker than closed a pixel is.
        lit: float array (h, w), 0 in the shade of a blink.
    """
    rows = even.shape[0]
    lashes = float((dark[: rows // 6] > 0.25).mean() - (dark[-rows // 6 :] > 0.25).mean())
    jumps = np.abs(np.diff(ndimage.gaussian_filter1d(even, 1.0, axis=1), axis=0)).mean(axis=1)
    jumps = jumps - ndimage.median_filter(jumps, 5, mode="nearest")
    sharp = np.percentile(np.abs(np.diff(ndimage.gaussian_filter(even, 0.8), axis=1)), 99)
    # Each measure with the values from which it says fair, and poor.
    measures = (
        (float((lit.mean(axis=1) < 0.5).mean()), 0.03, 0.105, "a blink"),
        (1.0 - float(np.percentile(light, 5) / np.percentile(light, 95)), 0.38, 0.55, "uneven illumination"),
        (-float(sharp), -0.075, -0.048, "blur"),
        (lashes, 0.046, 0.083, "eyelash shadows"),
        (float(jumps.max()), 0.042, 0.063, "eye movement"),
    )
    for value, fair, poor, limit in measures:
        if value > fair:
            return ("poor" if value > poor else "fair"), limit
    return "good", ""


def yes(holds: bool) -> str:
    """Return Yes or No."""
    return "Yes" if holds else "No"


def diagnosis(reading: Reading) -> str:
    """Name what the eye has."""
    named = {"yes": ["glaucoma"], "suspect": ["glaucoma suspect"], "no": []}[reading.glaucoma]
    named += ["early macular degeneration"] * (reading.drusen >= MANY)
    return " and ".join(named or ["no eye disease"]).capitalize()


def rim(reading: Reading) -> str:
    """Say how the rim is."""
    return "thinned " + " and ".join(f"{pole}ly" for pole in reading.thin) if reading.thin else "intact"


def macula(reading: Reading) -> str:
    """Say what the macula shows."""
    if reading.drusen < SOME:
        return "The macula is normal."
    return f"The macula shows {'many' if reading.drusen >= MANY else 'a few'} drusen."


def picture(reading: Reading) -> str:
    """Say how good the picture is."""
    return reading.quality.capitalize() + (f", limited by {reading.limit}" if reading.limit else "")


PLANS = {
    "yes": ("Visual field and OCT of the nerve fibre layer.", "Pressure-lowering eye drops.", "3 months"),
    "suspect": ("OCT of the nerve fibre layer.", "No treatment, only monitoring.", "6 months"),
    "no": ("No further test is needed.", "No treatment is needed.", "12 months"),
}
ASSESSMENTS = {
    "yes": "Assessment: glaucoma. Start eye drops, obtain OCT and a visual field, and see again in 3 months.",
    "suspect": "Assessment: glaucoma suspect. Monitor with OCT and eye pressure, and see again in 6 months.",
    "no": "Assessment: no glaucoma. See again in 12 months.",
}


def next_test(reading: Reading) -> str:
    """Say which test comes next."""
    if reading.quality == "poor":
        return "The picture should be repeated."
    if reading.glaucoma == "no" and reading.drusen >= MANY:
        return "OCT of the macula."
    return PLANS[reading.glaucoma][0]


# Words that a question contains, and its answer; the first line that fits is taken.
RULES: tuple[tuple[str, Callable[[Reading], str]], ...] = (
    (r"degenerat", lambda r: yes(r.drusen >= MANY)),
    (r"(where|place|location).*(ha?emorrhage|bleed)", lambda r: f"At the {r.place} disc margin."),
    (r"ha?emorrhage|bleed", lambda r: yes(r.bleeds)),
    (r"atrophy|crescent", lambda r: yes(r.crescent)),
    (r"drusen", lambda r: yes(r.drusen >= SOME)),
    (r"cup", lambda r: f"{r.ratio:.1f}"),
    (r"\brim\b", lambda r: f"The rim is {rim(r)}."),
    (r"repeat", lambda r: yes(r.quality == "poor")),
    (r"quality", picture),
    (r"which eye|\bleft\b", lambda r: r.eye.capitalize()),
    (r"macula", macula),
    (r"visit|months|again|follow", lambda r: PLANS[r.glaucoma][2]),
    (r"test|examin", next_test),
    (r"treat|therap", lambda r: PLANS[r.glaucoma][1]),
    (r"diagnos", diagnosis),
    (r"glaucoma", lambda r: {"yes": "Yes", "suspect": "Suspected", "no": "No"}[r.glaucoma]),
)


def respond(question: str, reading: Reading) -> str:
    """Answer a question by the first rule whose words it has; a diagnosis if none fits."""
    asked = " ".join(re.findall(r"[^.?!\n]*\?", question)) or question
    for words, answer in RULES:
        if re.search(words, asked.lower()):
            return answer(reading)
    return diagnosis(reading)


def describe(reading: Reading) -> str:
    """Write a report of what was measured."""
    said = [
        f"The optic disc of the {reading.eye} eye has a cup-to-disc ratio of {reading.ratio:.1f} and a rim that is {rim(reading)}."
    ]
    if reading.bleeds:
        said.append(f"A disc haemorrhage is seen at the {reading.place} margin.")
    if reading.crescent:
        said.append("There is peripapillary atrophy.")
    said.append(macula(reading))
    if reading.limit:
        said.append(f"Image quality is {reading.quality}, limited by {reading.limit}.")
    said.append(ASSESSMENTS[reading.glaucoma])
    return " ".join(said)
