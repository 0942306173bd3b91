"""Draws the grey fundus pictures of FMBench-mini, in the look of a scanning laser ophthalmoscope.

Everything is computed in pixels of a `WIDTH` x `HEIGHT` field with the disc to the right of the fovea, as in a right
eye; left eyes are mirrored at the end. `render` sees findings and a stream of random numbers, never who the patient is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from patients import Findings
from PIL import Image, ImageDraw
from scipy import ndimage

Array = NDArray[np.float64]

WIDTH, HEIGHT = 320, 256
DISC = 30.0  # px: half the disc's height, on average
FINE = 4  # vessels are drawn at this many pixels a pixel


@dataclass(frozen=True)
class Eye:
    """Where things are in one eye, px; angles in radians, 0 temporal (to the left), growing upwards."""

    centre: tuple[float, float]
    """x, y of the disc's centre."""
    radii: tuple[float, float]
    """Half the disc's width and height."""
    tilt: float
    fovea: tuple[float, float]


def smoothstep(x: Array) -> Array:
    """Return the Hermite step from 0 (x <= 0) to 1 (x >= 1)."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def noise(rng: np.random.Generator, grain: float, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Array:
    """Return smooth random values of unit variance; `grain` is their size, px."""
    step = max(1, int(grain / 2))
    coarse = rng.standard_normal((shape[0] // step + 9, shape[1] // step + 9))
    coarse = ndimage.gaussian_filter(coarse, grain / step / 2.0)
    fine = ndimage.zoom(coarse, step, order=1)[step * 4 : step * 4 + shape[0], step * 4 : step * 4 + shape[1]]
    return (fine - fine.mean()) / fine.std()


def place(rng: np.random.Generator) -> Eye:
    """Draw where disc and fovea lie."""
    half = DISC * (0.92 + 0.16 * rng.random())
    centre = (WIDTH * (0.70 + 0.06 * rng.random()), HEIGHT * (0.46 + 0.06 * rng.random()))
    away = 2.0 * half * (2.35 + 0.2 * rng.random())
    drop = np.deg2rad(3.0 + 7.0 * rng.random())
    fovea = (centre[0] - away * np.cos(drop), centre[1] + away * np.sin(drop))
    wide = half * (0.86 + 0.1 * rng.random())
    return Eye(centre, (wide, half), float(np.deg2rad(6.0 * rng.standard_normal())), fovea)


def polar(eye: Eye) -> tuple[Array, Array]:
    """Return each pixel's distance from the disc's centre in radii of the disc (1 on its margin), and its angle."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    dx, dy = eye.centre[0] - x, eye.centre[1] - y
    u = np.cos(eye.tilt) * dx + np.sin(eye.tilt) * dy
    v = -np.sin(eye.tilt) * dx + np.cos(eye.tilt) * dy
    return np.hypot(u / eye.radii[0], v / eye.radii[1]), np.arctan2(v / eye.radii[1], u / eye.radii[0])


def cup_edge(findings: Findings, angle: Array, rng: np.random.Generator) -> Array:
    """Return the cup's radius along each angle, in radii of the disc.

    At the poles it is what the rims leave; the temporal rim is thinner than the nasal one.
    """
    top, bottom = (1.0 - 2.0 * rim for rim in findings.rims)
    middle = 0.5 * min(top, bottom) + 0.25 * (top + bottom)
    temporal, nasal = middle * (1.0 + 0.06 * rng.random()), middle * (0.9 + 0.06 * rng.random())
    # A notch is narrow: the cup reaches to the margin at the pole and not beside it.
    s, c = np.sin(angle), np.cos(angle)
    narrow = [1.0 + 1.5 * (findings.thin == (pole,)) for pole in ("superior", "inferior")]
    up = np.abs(s) ** (2.0 * np.where(s > 0, *narrow))
    side = 1.0 - up
    return up * np.where(s > 0, top, bottom) + side * (temporal * (1 + c) + nasal * (1 - c)) / 2.0


def masks(findings: Findings, eye: Eye, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return signed distances to the margins of disc and cup, px, positive inside."""
    distance, angle = polar(eye)
    size = float(np.mean(eye.radii))
    return (1.0 - distance) * size, (cup_edge(findings, angle, rng) - distance) * size


def drawn_ratio(findings: Findings, rng: np.random.Generator) -> float:
    """Return the vertical cup-to-disc ratio, measured on the masks of the eye that `render` draws with `rng`."""
    disc, cup = masks(findings, place(rng), rng)
    heights = [np.ptp(np.flatnonzero((mask > 0).any(axis=1))) + 1 for mask in (cup, disc)]
    return float(heights[0] / heights[1])


def background(findings: Findings, eye: Eye, rng: np.random.Generator) -> Array:
    """Return retina and choroid: mottling, nerve fibre stripes with their defects, the macula's shade."""
    distance, angle = polar(eye)
    level = 0.40 + 0.05 * rng.standard_normal()
    image = level * (1.0 + 0.07 * noise(rng, 90.0) + 0.035 * noise(rng, 22.0))
    # Choroidal vessels shine through: ridges of a field are bright bands between dark lakes.
    tessellation = rng.random()
    ridges = np.exp(-((noise(rng, 16.0) / 0.45) ** 2))
    image *= 1.0 + 0.10 * tessellation * (ridges - 0.4) + 0.025 * noise(rng, 5.0)
    # Nerve fibres bend around the fovea: an angle at the disc is followed outwards.
    r = np.clip(distance - 1.0, 0.0, None)
    origin = angle + np.sign(angle) * 0.16 * r**1.1 * np.clip(np.cos(angle) * 1.4 + 0.5, 0.0, 1.0)
    bundle = np.exp(-(((np.abs(origin) - 1.25) / 0.5) ** 2)) * np.exp(-r / 2.6)
    wave = np.interp(
        origin, np.linspace(-4.5, 4.5, 700), ndimage.gaussian_filter1d(rng.standard_normal(700), 1.2)
    )
    loss = np.zeros_like(image)
    for pole in findings.thin:
        at = (1.15 + 0.25 * rng.random()) * (1.0 if pole == "superior" else -1.0)
        loss += np.exp(-(((origin - at) / (0.16 + 0.1 * rng.random())) ** 4)) * smoothstep(r / 0.4)
    image *= 1.0 + bundle * (0.30 + 0.13 * wave) * (1.0 - 0.85 * np.clip(loss, 0.0, 1.0))
    image *= 1.0 - 0.10 * np.clip(loss, 0.0, 1.0) * np.exp(-r / 3.5)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    far = np.hypot(x - eye.fovea[0], y - eye.fovea[1])
    image *= 1.0 - 0.20 * np.exp(-((far / 30.0) ** 2)) - 0.16 * np.exp(-((far / 9.0) ** 2))
    if rng.random() < 0.5:  # the reflex of the foveal pit
        image += 0.16 * np.exp(-((np.hypot(x - eye.fovea[0] - 1.5, y - eye.fovea[1] + 1.5) / 1.8) ** 2))
    return image


def nerve_head(image: Array, findings: Findings, eye: Eye, rng: np.random.Generator) -> Array:
    """Return the picture with the optic disc: crescent, rim, cup and the pores of its floor."""
    level = 0.42
    disc, cup = masks(findings, eye, rng)
    _, angle = polar(eye)
    if findings.atrophy:
        reach = (6.0 + 9.0 * rng.random()) * smoothstep((np.cos(angle) + 0.25) / 0.9)
        reach *= 1.0 + 0.12 * noise(rng, 14.0)
        crescent = smoothstep((disc + reach) / 2.0 + 0.5) * smoothstep(reach / 2.0)
        alpha = smoothstep((disc + reach + 5.0) / 3.0) * smoothstep(reach / 2.0) * (1.0 - crescent)
        bright = level * (1.62 + 0.12 * noise(rng, 7.0))
        image = image * (1.0 - 0.16 * alpha)
        image = image * (1.0 - 0.75 * crescent) + bright * 0.75 * crescent
    edge = 1.6 + 1.4 * rng.random()
    inside = smoothstep(disc / edge / 2.0 + 0.5)
    rim = level * (1.30 + 0.14 * rng.random() + 0.13 * np.cos(angle) + 0.035 * noise(rng, 6.0))
    image = image * (1.0 - inside) + rim * inside
    image *= 1.0 - 0.10 * np.exp(-((disc / 2.2) ** 2))  # the scleral ring's shade
    soft = 1.8 + 3.2 * rng.random()
    hollow = smoothstep(cup / soft / 2.0 + 0.5)
    floor = level * (1.86 + 0.22 * rng.random() + 0.03 * noise(rng, 4.0))
    pores = smoothstep((noise(rng, 3.2) - 0.9) / 0.6) * smoothstep((cup - 5.0) / 4.0)
    image = image * (1.0 - hollow) + floor * hollow * (1.0 - 0.14 * pores)
    return image


def walk(
    rng: np.random.Generator, start: tuple[float, float], heading: float, length: float, bend: float
) -> Array:
    """Return a wandering path (n, 2), px, in steps of one pixel; `bend` is its mean turn in radians a pixel."""
    n = max(4, int(length))
    turn = bend + 0.028 * ndimage.gaussian_filter1d(rng.standard_normal(n), 5.0, mode="nearest") * 3.0
    angles = heading + np.cumsum(turn)
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(start) + np.concatenate([[[0.0, 0.0]], np.cumsum(steps, axis=0)])


def arcade(rng: np.random.Generator, eye: Eye, up: float, temporal: bool) -> Array:
    """Return the course of a main vessel, a Bezier curve from the disc with a little wander."""
    x, y = eye.centre
    jitter = rng.normal(0.0, 7.0, (3, 2))
    if temporal:
        corners = [(x + 4, y - 60 * up), (x - 62, y - 118 * up), (x - 250, y - 66 * up)]
    else:
        corners = [(x + 8, y - 34 * up), (x + 34, y - 66 * up), (x + 105, y - 112 * up)]
    start = (x + rng.normal(3.0, 2.0), y - up * rng.uniform(1.0, 6.0))
    points = np.array([start, *(np.array(corners) + jitter)])
    t = np.linspace(0.0, 1.0, 260)[:, None]
    path = sum(k * (1 - t) ** (3 - i) * t**i * points[i] for i, k in enumerate((1, 3, 3, 1)))
    wander = ndimage.gaussian_filter1d(rng.standard_normal((260, 2)), 11.0, axis=0, mode="nearest") * 9.0
    return np.asarray(path + wander * smoothstep(t * 3.0))


Twig = tuple[Array, float, float]
"""A path (n, 2) with its width at the start and at the end, px."""


def branches(
    rng: np.random.Generator, path: Array, width: float, depth: int, fovea: tuple[float, float]
) -> list[Twig]:
    """Return a vessel and all that springs from it; capillaries spare the fovea."""
    far = np.hypot(path[:, 0] - fovea[0], path[:, 1] - fovea[1])
    if depth < 2 and (far < 20.0).any():
        path = path[: max(2, int(np.argmax(far < 20.0)))]
    found: list[Twig] = [(path, width, width * 0.45)]
    if depth == 0 or len(path) < 24:
        return found
    count = int(rng.integers(3, 5)) if depth == 2 else int(rng.integers(1, 3))
    for at in np.sort(rng.uniform(0.2, 0.92, count)):
        i = int(at * (len(path) - 2))
        along = path[min(i + 3, len(path) - 1)] - path[i]
        side = 1.0 if rng.random() < 0.5 else -1.0
        heading = float(np.arctan2(along[1], along[0])) + side * rng.uniform(0.45, 1.0)
        length = rng.uniform(35.0, 85.0) * (0.6 + 0.2 * depth)
        child = walk(rng, (path[i][0], path[i][1]), heading, length, -side * rng.uniform(0.0, 0.008))
        thinner = width * (1.0 - 0.55 * at) * rng.uniform(0.5, 0.75)
        found += branches(rng, child, thinner, depth - 1, fovea)
    return found


def painted(twigs: list[Twig], scale: float = 1.0) -> Array:
    """Return the share of each pixel (0-1) that vessels cover, drawn `scale` times as wide."""
    canvas = Image.new("L", (WIDTH * FINE, HEIGHT * FINE))
    pen = ImageDraw.Draw(canvas)
    for path, first, last in twigs:
        radii = np.linspace(first, last, len(path)) * scale * FINE / 2.0
        for (x, y), radius in zip(path * FINE, radii, strict=True):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    share = np.asarray(canvas, dtype=float).reshape(HEIGHT, FINE, WIDTH, FINE).mean(axis=(1, 3)) / 255.0
    return ndimage.gaussian_filter(share, 0.5)


def vessels(image: Array, eye: Eye, rng: np.random.Generator) -> Array:
    """Return the picture with arteries (a bright line along their middle) and wider, darker veins."""
    arteries: list[Twig] = []
    veins: list[Twig] = []
    for up in (1.0, -1.0):
        for temporal in (True, False):
            for tree, width in ((arteries, rng.uniform(3.4, 4.2)), (veins, rng.uniform(4.4, 5.6))):
                trunk = arcade(rng, eye, up * rng.uniform(0.86, 1.04), temporal)
                tree += branches(rng, trunk, width * (1.0 if temporal else 0.8), 2, eye.fovea)
    for _ in range(int(rng.integers(2, 5))):  # small ones straight from the disc to the macula
        angle = rng.uniform(-0.7, 0.7)
        start = (eye.centre[0] - eye.radii[0] * 0.8, eye.centre[1] - eye.radii[1] * np.sin(angle))
        path = walk(rng, start, np.pi + angle, rng.uniform(60.0, 95.0), -0.006 * np.sign(angle))
        veins += branches(rng, path, rng.uniform(1.2, 1.9), 1, eye.fovea)
    depth = rng.uniform(0.85, 1.1)
    dark, wide = painted(veins), painted(arteries)
    image = image * (1.0 - 0.44 * depth * dark) * (1.0 - 0.33 * depth * wide * (1.0 - 0.6 * dark))
    trunks = [twig for twig in arteries if twig[1] > 2.0]
    return image * (1.0 + 0.20 * painted(trunks, 0.30))


def lesions(image: Array, findings: Findings, eye: Eye, rng: np.random.Generator) -> Array:
    """Return the picture with a flame-shaped haemorrhage on the disc's margin and drusen in the macula."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    if findings.haemorrhage:
        angle = rng.uniform(0.75, 1.15) * (1.0 if findings.haemorrhage == "superotemporal" else -1.0)
        out = np.array([-np.cos(angle), -np.sin(angle)])
        at = np.array(eye.centre) + out * np.array(eye.radii) * rng.uniform(1.0, 1.12)
        along = (x - at[0]) * out[0] + (y - at[1]) * out[1]
        across = -(x - at[0]) * out[1] + (y - at[1]) * out[0] + 1.4 * noise(rng, 7.0)
        long, wide = rng.uniform(7.0, 11.0), rng.uniform(2.6, 3.8)
        flame = smoothstep(1.35 - np.hypot(along / long, across / wide * (1.0 + 0.25 * along / long)))
        image = image * (1.0 - rng.uniform(0.40, 0.55) * flame)
    count = {"none": 0, "few": int(rng.integers(4, 9)), "many": int(rng.integers(18, 36))}[findings.drusen]
    for _ in range(count):
        turn, far = rng.uniform(0.0, 2.0 * np.pi), 34.0 * np.sqrt(rng.uniform(0.02, 1.0))
        px, py = eye.fovea[0] + far * np.cos(turn), eye.fovea[1] + far * np.sin(turn)
        size = rng.uniform(1.1, 2.6)
        image = image + rng.uniform(0.07, 0.16) * smoothstep(1.5 - np.hypot(x - px, y - py) / size)
    return image


def acquire(image: Array, findings: Findings, eye: Eye, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return what the instrument makes of it: falling light, artefacts, speckle, line noise, 8 bits."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    strength = {"good": 0.0, "fair": 0.55, "poor": 1.0}[findings.quality]
    far = np.hypot((x - WIDTH * 0.5) / (WIDTH * 0.62), (y - HEIGHT * 0.5) / (HEIGHT * 0.66))
    image = image * (1.0 - 0.30 * smoothstep((far - 0.45) / 0.8))
    focus = 0.45 + 0.25 * rng.random()
    if findings.limit == "blur":
        focus = 1.3 + 2.0 * strength
    image = ndimage.gaussian_filter(image, focus)
    if findings.limit == "uneven illumination":
        turn = rng.uniform(0.0, 2.0 * np.pi)
        ramp = (np.cos(turn) * (x / WIDTH - 0.5) + np.sin(turn) * (y / HEIGHT - 0.5)) * 2.0
        image = image * (1.0 - 0.75 * strength * smoothstep(0.5 + 0.75 * ramp))
    if findings.limit == "eyelash shadow":
        shade = np.zeros_like(image)
        for _ in range(int(4 + 7 * strength)):
            root, lean, reach = rng.uniform(0, WIDTH), rng.normal(0.0, 0.45), rng.uniform(45.0, 105.0)
            middle = root + lean * y + 0.0022 * lean * y * y
            width = rng.uniform(2.0, 4.0)
            shade = np.maximum(shade, np.exp(-(((x - middle) / width) ** 2)) * smoothstep((reach - y) / 30.0))
        image = (
            image
            * (1.0 - (0.35 + 0.4 * strength) * shade)
            * (1.0 - 0.35 * strength * smoothstep((46.0 - y) / 46.0))
        )
    if findings.limit == "blink band":
        half = 6.0 + 12.0 * strength
        above = rng.random() < 0.5
        reach = eye.radii[1] * 1.15 + half  # the disc stays in sight
        middle = eye.centre[1] + (-reach if above else reach) * rng.uniform(1.0, 1.3)
        image = image * (1.0 - 0.88 * smoothstep((half - np.abs(y - middle)) / 8.0 + 0.5))
    if findings.limit == "eye movement":
        for _ in range(1 + int(2 * strength)):
            first = int(rng.uniform(0.08, 0.85) * HEIGHT)
            last = first + int(rng.uniform(14.0, 44.0))
            shift = int(np.rint((5.0 + 9.0 * strength) * (1.0 if rng.random() < 0.5 else -1.0)))
            image[first:last] = ndimage.shift(image[first:last], (0, shift), order=0, mode="nearest")
    lines = 1.0 + 0.007 * rng.standard_normal((HEIGHT, 1))
    speckle = ndimage.gaussian_filter(rng.standard_normal((HEIGHT, WIDTH)), 0.6) * 1.9
    image = image * lines * (1.0 + 0.030 * speckle) * rng.uniform(0.92, 1.12)
    grey = np.clip(image, 0.0, 1.0) * 255.0
    return np.rint(grey).astype(np.uint8)


def render(findings: Findings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the picture of one eye, uint8 (HEIGHT, WIDTH)."""
    geometry, detail = rng.spawn(2)
    eye = place(geometry)
    image = background(findings, eye, detail)
    image = nerve_head(image, findings, eye, geometry)
    image = vessels(image, eye, detail)
    image = lesions(image, findings, eye, detail)
    grey = acquire(image, findings, eye, detail)
    return np.ascontiguousarray(grey if findings.eye == "right" else grey[:, ::-1])
