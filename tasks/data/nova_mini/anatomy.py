"""Head anatomy for NOVA-mini: MNI152 template -> patient-specific slices in five MR contrasts.

Coordinates are MNI millimetres (x to the patient's right, y to the front, z up). A `Patient` owns every
random property of one head; `Patient.tissues` turns points of a slice into tissue fractions and `signal`
turns those into an ideal, noise-free image. `acquire` adds what a scanner adds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]

NATIVE = 240  # pixels a side of the acquired matrix; images are interpolated to twice that, as scanners do
FOV = 226.0  # mm a side
SEQUENCES = ("T1", "T1ce", "T2", "FLAIR", "DWI")

# Relative signal of each tissue, in the order of SEQUENCES.
TISSUE_SIGNAL: dict[str, tuple[float, ...]] = {
    "wm": (0.80, 0.80, 0.37, 0.46, 0.43),
    "gm": (0.57, 0.58, 0.52, 0.60, 0.54),
    "csf": (0.16, 0.16, 0.95, 0.07, 0.07),
    "bone": (0.05, 0.05, 0.04, 0.04, 0.02),
    "marrow": (0.50, 0.54, 0.34, 0.28, 0.05),
    "fat": (0.92, 0.94, 0.66, 0.62, 0.07),
    "muscle": (0.40, 0.46, 0.24, 0.26, 0.08),
    "vessel": (0.14, 0.98, 0.06, 0.07, 0.04),
    "globe": (0.18, 0.20, 0.92, 0.12, 0.06),
}


def smoothstep(x: Array) -> Array:
    """Hermite step from 0 (x <= 0) to 1 (x >= 1)."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


class Field:
    """Smooth random scalar field of about unit variance, defined everywhere in the head.

    Args:
        rng: Source of the node values.
        spacing: Distance between nodes, mm; the grain of the field.
    """

    def __init__(self, rng: np.random.Generator, spacing: float) -> None:
        """Draws the nodes."""
        self.spacing = spacing
        n = int(np.ceil(320.0 / spacing)) + 4
        nodes = rng.standard_normal((n, n, n), dtype=np.float32)
        self._coefficients = ndimage.spline_filter(nodes, order=3, output=np.float32)

    def __call__(self, points: Array) -> Array:
        """Evaluates the field at `points`: float array (3, ...), mm."""
        grid = (points + 160.0) / self.spacing + 1.0
        return 1.35 * ndimage.map_coordinates(
            self._coefficients, grid, order=3, prefilter=False, mode="nearest"
        )


@dataclass(frozen=True)
class Template:
    """Volumes of the template on its 1 mm grid, and distance maps on a padded 2 mm grid.

    Attributes:
        maps: T1, grey and white matter in 0-1, each float32 (197, 233, 189).
        origin: MNI coordinates of voxel (0, 0, 0) of `maps`.
        hull: Signed distance to the inner skull (negative inside), mm.
        brain: Signed distance to the brain's surface, mm.
        pad_origin: MNI coordinates of voxel (0, 0, 0) of the distance maps.
    """

    maps: tuple[Array, Array, Array]
    origin: Array
    hull: Array
    brain: Array
    pad_origin: Array


def _signed_distance(mask: NDArray[np.bool_], step: float) -> Array:
    outside = ndimage.distance_transform_edt(~mask)
    inside = ndimage.distance_transform_edt(mask)
    return ((outside - inside) * step).astype(np.float32)


@cache
def load_template() -> Template:
    """Reads the MNI ICBM152 2009a symmetric maps that nilearn carries in its package (no download)."""
    from nilearn import datasets

    images = (
        datasets.load_mni152_template(resolution=1),
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
    )
    t1, gm, wm = (np.asarray(image.dataobj, dtype=np.float32) for image in images)
    origin = np.asarray(images[0].affine[:3, 3], dtype=np.float32)
    brain = np.pad((t1 > 0.12)[::2, ::2, ::2], 30)
    brain_distance = _signed_distance(brain, 2.0)
    # Closing by 24 mm gives the smooth inner surface of a skull; the template is skull-stripped.
    grown = brain_distance < 24.0
    hull = ndimage.gaussian_filter(_signed_distance(grown, 2.0) + 24.0, 3.0)
    return Template((t1, gm, wm), origin, hull.astype(np.float32), brain_distance, origin - 60.0)


def _sample(volume: Array, points: Array, origin: Array, step: float, outside: float = 0.0) -> Array:
    grid = (points - origin.reshape(3, *([1] * (points.ndim - 1)))) / step
    mode = "constant" if outside == 0.0 else "nearest"
    return ndimage.map_coordinates(volume, grid, order=1, mode=mode, cval=outside)


@dataclass
class Patient:
    """One head: its shape, its normal asymmetries, its age, its texture.

    Args:
        rng: Source of all its randomness.
        atrophy: 0 young to 1 old; widens sulci and ventricles.
        push: Mass effects as (centre, radius mm, strength 0-0.6), applied to anatomy and not to lesions.
    """

    rng: np.random.Generator
    atrophy: float = 0.2
    push: list[tuple[Array, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draws the head's affine map, warp and textures."""
        r = self.rng
        angles = np.deg2rad(r.normal(0.0, (2.0, 2.0, 3.0)))
        rotation = np.eye(3)
        for (i, j), angle in zip(((1, 2), (0, 2), (0, 1)), angles, strict=True):
            turn = np.eye(3)
            turn[i, i] = turn[j, j] = np.cos(angle)
            turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
            rotation = rotation @ turn
        self.affine = (rotation @ np.diag(1.0 / r.uniform(0.95, 1.05, 3))).astype(np.float32)
        self.shift = r.normal(0.0, 1.5, 3).astype(np.float32)
        self._slow = [Field(r, 60.0) for _ in range(3)]
        self._fast = [Field(r, 16.0) for _ in range(3)]
        self._ventricle = r.normal(0.0, 0.07, 2) - 0.16 * self.atrophy
        self._thickness = Field(r, 40.0)
        self._grain = Field(r, 3.2)
        self._clumps = Field(r, 9.0)

    def to_template(self, points: Array) -> Array:
        """Maps patient coordinates to anatomical (template) coordinates, (3, ...) mm."""
        flat = points.reshape(3, -1)
        moved = self.affine @ flat + self.shift[:, None]
        for k, warp in enumerate(self._slow):
            moved[k] += 2.1 * warp(flat)
        # Folds vary from head to head; the skull does not follow them.
        template = load_template()
        hull = _sample(template.hull, moved, template.pad_origin, 2.0, outside=1.0)
        depth = 1.7 * smoothstep((-hull - 2.0) / 14.0)
        for k, warp in enumerate(self._fast):
            moved[k] += depth * warp(flat)
        # Each lateral ventricle has a width of its own: contract or expand space around it.
        for side, amount in zip((1.0, -1.0), self._ventricle, strict=True):
            centre = np.array([[14.0 * side], [-14.0], [14.0]], dtype=np.float32)
            offset = moved - centre
            weight = np.exp(-np.sum((offset / np.array([[13.0], [40.0], [17.0]])) ** 2, axis=0))
            moved[0] += (amount * weight * offset[0]).astype(np.float32)
            moved[2] += (amount * weight * offset[2]).astype(np.float32)
        return moved.reshape(points.shape).astype(np.float32)

    def locate(self, target: Array) -> Array:
        """Finds the patient coordinates of the anatomical point `target` (3,), by fixed-point iteration."""
        point = np.asarray(target, dtype=np.float32).copy()
        for _ in range(12):
            point = point - 0.8 * (self.to_template(point.reshape(3, 1))[:, 0] - target)
        return point

    def slice_points(self, plane: str, position: float) -> Array:
        """Returns patient coordinates (3, NATIVE, NATIVE) of a slice in radiological orientation."""
        line = (np.arange(NATIVE, dtype=np.float32) + 0.5) / NATIVE * FOV - FOV / 2.0
        # The patient's right is at the left of the image; up is up, or the front.
        across, down = np.meshgrid(-line, -line)
        level = np.full_like(across, position)
        if plane == "axial":
            return np.stack([across, down - 16.0, level])
        if plane == "coronal":
            return np.stack([across, level, down + 0.0])
        return np.stack([level, across - 16.0, down + 0.0])

    def tissues(self, anatomical: Array) -> dict[str, Array]:
        """Returns fractions of each tissue at anatomical points after mass effect, distance and T1 detail."""
        template = load_template()
        q = anatomical.copy()
        for centre, radius, strength in self.push:
            offset = q - centre.reshape(3, 1, 1)
            distance = np.sqrt(np.sum(offset**2, axis=0)) / radius
            q -= (strength * np.exp(-(distance**2)) * offset).astype(np.float32)
        t1, gm, wm = (_sample(volume, q, template.origin, 1.0) for volume in template.maps)
        hull = _sample(template.hull, anatomical, template.pad_origin, 2.0, outside=1.0)
        surface = _sample(template.brain, q, template.pad_origin, 2.0, outside=1.0)
        hull = hull + 0.5 * self._thickness(anatomical)
        brain = smoothstep((1.2 - surface) / 1.6) * smoothstep((0.5 - hull) / 1.5)
        csf = np.clip(1.0 - gm - wm, 0.0, 1.0) ** (1.0 - 0.45 * self.atrophy)
        # The template averages 152 heads; a power sharpens its soft boundaries towards one head's.
        parts = np.stack([1.25 * gm, wm, csf]) ** 1.8 + 1e-6
        gm, wm, csf = parts / parts.sum(axis=0)
        x, y, z = anatomical
        thick = 5.5 + 1.3 * self._thickness(anatomical[[1, 2, 0]])
        inside = smoothstep(0.5 - hull)
        near = smoothstep((5.0 - surface) / 2.0)
        skull = smoothstep(hull + 0.5) * smoothstep((thick - hull) / 1.0)
        diploe = smoothstep(1.0 - np.abs(hull - 0.5 * thick) / 1.7) * smoothstep((z + 30.0) / 20.0)
        skin = smoothstep(hull - thick + 0.5) * smoothstep((thick + 5.5 - hull) / 1.2)
        face_shape = ((x / 62.0) ** 2 + ((y - 38.0) / 62.0) ** 2 + ((z + 72.0) / 62.0) ** 2) ** 0.5
        neck_shape = ((x / 58.0) ** 2 + ((y + 38.0) / 55.0) ** 2) ** 0.5
        neck = smoothstep((1.0 - neck_shape) * 6.0) * smoothstep((-48.0 - z) / 6.0)
        below = np.maximum(smoothstep((1.0 - face_shape) * 8.0), neck)
        outer = np.clip(below - smoothstep(1.0 - hull), 0.0, 1.0)
        soft = np.clip(inside * (1.0 - near) + outer * (1.0 - skull), 0.0, 1.0)
        clump = self._clumps(anatomical) + 0.4 * self._grain(anatomical)
        out = {
            "gm": gm * brain,
            "wm": wm * brain,
            "csf": csf * brain + inside * near * (1.0 - brain),
            "bone": skull * (1.0 - diploe) + soft * smoothstep(-0.5 * clump),
            "marrow": skull * diploe,
            "fat": skin * (1.0 - soft) * (1.0 - skull) + 0.5 * soft * smoothstep(0.5 * clump - 0.3),
            "muscle": soft * smoothstep(0.5 * clump + 0.8),
            "vessel": self._vessels(anatomical, hull) * (1.0 - brain),
        }
        eyes = np.sqrt((np.abs(x) - 32.0) ** 2 + (y - 64.0) ** 2 + (z + 38.0) ** 2)
        out["globe"] = smoothstep(12.0 - eyes) * (1.0 - inside)
        # Signal falls off where the head coil ends.
        coil = smoothstep((z + 95.0) / 45.0)
        total = np.maximum(sum(out.values()), 1.0)
        out = {name: (value / total * coil).astype(np.float32) for name, value in out.items()}
        predicted = 0.40 * csf + 0.66 * gm + 0.86 * wm
        out |= {"detail": ((t1 - predicted) * brain).astype(np.float32), "brain": brain, "hull": hull}
        out["grain"] = self._grain(anatomical)
        return out

    @staticmethod
    def _vessels(q: Array, hull: Array) -> Array:
        """Superior sagittal sinus and torcula: dark flow voids that take up contrast."""
        x, y, z = q
        tube = np.sqrt(x**2 + np.clip(-hull - 2.5, 0.0, None) ** 2 * 1.5)
        return (
            smoothstep((3.2 - tube) / 1.2)
            * smoothstep((z + 5.0) / 10.0)
            * smoothstep((0.5 - hull) / 1.0)
            * (y < 45)
        )


def signal(tissues: dict[str, Array], sequence: str, q: Array) -> Array:
    """Returns the ideal signal (0 to about 1) of one sequence; no lesion, no noise."""
    k = SEQUENCES.index(sequence)
    image = sum(tissues[name] * levels[k] for name, levels in TISSUE_SIGNAL.items())
    image = image + (0.75, 0.75, -0.35, -0.2, -0.2)[k] * tissues["detail"]
    image = image * (1.0 + 0.022 * tissues["grain"])
    x, y, z = q
    if sequence in ("T2", "FLAIR", "DWI"):  # iron darkens the pallidum
        pallidum = ((np.abs(x) - 19.0) / 6.0) ** 2 + ((y + 4.0) / 10.0) ** 2 + (z / 7.0) ** 2
        image = image * (1.0 - 0.22 * smoothstep(1.4 - pallidum))
    if sequence == "T1ce":  # choroid plexus and pituitary enhance
        plexus = ((np.abs(x) - 23.0) / 5.0) ** 2 + ((y + 40.0) / 9.0) ** 2 + ((z - 6.0) / 7.0) ** 2
        gland = (x / 7.0) ** 2 + ((y - 3.0) / 5.0) ** 2 + ((z + 31.0) / 4.0) ** 2
        image = image + 0.45 * smoothstep(1.2 - plexus) * tissues["csf"] + 0.6 * smoothstep(1.2 - gland)
    return np.asarray(image, dtype=np.float32)


def acquire(image: Array, sequence: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turns an ideal slice into a 480 x 480 8-bit image: bias field, Rician noise, interpolation, rounding.

    Grey levels are multiples of 5 and the background is exactly 0, so that the PNG files stay small.
    """
    line = np.linspace(-1.0, 1.0, NATIVE, dtype=np.float32)
    u, v = np.meshgrid(line, line)
    c = rng.normal(0.0, 1.0, 5)
    image = image * (
        1.0 + 0.035 * (c[0] * u + c[1] * v) + 0.02 * (c[2] * u * u + c[3] * v * v + c[4] * u * v)
    )
    if sequence == "DWI":
        image = ndimage.gaussian_filter(image, 0.9)
    head = ndimage.binary_dilation(image > 0.03, iterations=1)
    sigma = {"DWI": 0.020, "FLAIR": 0.014}.get(sequence, 0.012)
    noise = rng.normal(0.0, sigma, (2, NATIVE, NATIVE))
    image = np.hypot(image + noise[0], noise[1]) * head
    fine = ndimage.zoom(image, 2, order=3, mode="nearest", grid_mode=True)
    mask = np.repeat(np.repeat(head, 2, axis=0), 2, axis=1)
    grey = np.round(np.clip(fine * mask, 0.0, 1.0) * 235.0 / 5.0) * 5.0
    grey[grey < 12] = 0
    return grey.astype(np.uint8)
