"""Lesion models of NOVA-mini: shapes in anatomical millimetres, painted with sequence-dependent signal.

A lesion is a list of `Instance`, each one box in a slice; an instance is a list of layers painted in order. A
layer is (opacity in 0-1 at each point, material). Opacities come from warped ellipsoids, wedges and shells
whose edges are broken by smooth random fields and restricted to the tissues that the process respects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from anatomy import SEQUENCES, Array, Field, smoothstep

Tissues: TypeAlias = dict[str, Array]
Opacity: TypeAlias = Callable[[Array, Tissues], Array]
Vector: TypeAlias = Sequence[float]

# Relative signal in the order of SEQUENCES (T1, T1ce, T2, FLAIR, DWI), then the strength of inner texture.
MATERIALS: dict[str, tuple[float, ...]] = {
    "oedema": (0.50, 0.50, 0.76, 0.86, 0.55, 0.04),
    "cytotoxic": (0.50, 0.52, 0.68, 0.84, 0.98, 0.05),
    "necrosis": (0.28, 0.28, 0.86, 0.50, 0.22, 0.08),
    "enhancing": (0.52, 0.98, 0.56, 0.74, 0.66, 0.06),
    "pus": (0.34, 0.34, 0.84, 0.74, 1.02, 0.05),
    "capsule": (0.70, 1.00, 0.26, 0.50, 0.50, 0.03),
    "methaemoglobin": (0.96, 0.96, 0.82, 0.90, 0.62, 0.07),
    "deoxyhaemoglobin": (0.50, 0.50, 0.16, 0.22, 0.14, 0.08),
    "haemosiderin": (0.34, 0.34, 0.05, 0.08, 0.05, 0.02),
    "csf": (0.16, 0.16, 0.95, 0.07, 0.07, 0.01),
    "epidermoid": (0.22, 0.22, 0.92, 0.36, 0.98, 0.05),
    "meningeal": (0.54, 0.96, 0.58, 0.68, 0.64, 0.04),
    "cleft": (0.18, 0.20, 0.92, 0.16, 0.10, 0.01),
    "demyelination": (0.46, 0.48, 0.78, 0.92, 0.58, 0.04),
    "active": (0.46, 0.92, 0.78, 0.92, 0.86, 0.04),
    "colloid": (0.86, 0.86, 0.40, 0.92, 0.40, 0.02),
    "germinoma": (0.50, 0.94, 0.60, 0.70, 0.84, 0.05),
    "cholesterol": (0.92, 0.94, 0.88, 0.92, 0.30, 0.04),
    "metabolic": (0.44, 0.44, 0.78, 0.86, 0.76, 0.05),
    "iron": (0.60, 0.60, 0.10, 0.18, 0.12, 0.03),
    "dysplastic": (0.62, 0.62, 0.55, 0.66, 0.56, 0.02),
    "blurred": (0.72, 0.72, 0.44, 0.54, 0.47, 0.02),
}


@dataclass
class Instance:
    """One abnormal area: its layers, and a halo of oedema painted under them.

    A reader's box goes round the lesion itself; the halo belongs to it only in the sequences `halo_counts`.
    """

    layers: list[tuple[Opacity, str]]
    halo: list[tuple[Opacity, str]] = field(default_factory=list)
    halo_counts: tuple[str, ...] = ()


@dataclass
class Lesion:
    """Instances of one disease in one head, with the mass effects (centre, radius, strength) they exert."""

    instances: list[Instance]
    push: list[tuple[Array, float, float]] = field(default_factory=list)


def paint(base: Array, layers: list[tuple[Opacity, str]], sequence: str, q: Array, tissues: Tissues) -> Array:
    """Paints layers over a slice in order and returns the new ideal signal."""
    k = SEQUENCES.index(sequence)
    for opacity, name in layers:
        material = MATERIALS[name]
        level = material[k] * (1.0 + material[-1] * tissues["grain"])
        a = opacity(q, tissues)
        base = base * (1.0 - a) + level * a
    return base


def _vec(values: Vector) -> Array:
    return np.asarray(values, dtype=np.float32).reshape(3, 1, 1)


def _radius(q: Array, centre: Vector, radii: Vector) -> Array:
    return np.sqrt(np.sum(((q - _vec(centre)) / _vec(radii)) ** 2, axis=0))


def blob(
    rng: np.random.Generator,
    centre: Vector,
    radii: Vector,
    *,
    rough: float = 0.16,
    grain: float = 9.0,
    edge: float = 1.5,
    tissue: dict[str, float] | None = None,
    shell: float = 0.0,
) -> Opacity:
    """Returns an ellipsoid with irregular edges.

    Args:
        rng: Source of the irregularity.
        centre: Middle, mm.
        radii: Half axes, mm.
        rough: Relative size of the irregularities.
        grain: Their spacing, mm.
        edge: Width of the transition, mm.
        tissue: Opacity in each tissue; all 1 when None. Brain-only shapes name "gm" and "wm".
        shell: Thickness in mm of a hollow shell inside the surface; 0 for a solid shape.
    """
    noise, coarse = Field(rng, grain), Field(rng, 2.2 * grain)
    size = float(min(radii))

    def opacity(q: Array, tissues: Tissues) -> Array:
        r = _radius(q, centre, radii) - rough * noise(q) - 0.6 * rough * coarse(q)
        out = smoothstep((1.0 - r) * size / edge + 0.5)
        if shell:
            thickness = shell * (1.0 + 0.5 * coarse(q))
            out = out * smoothstep((r - 1.0) * size / edge + np.maximum(thickness, 0.6) / edge + 0.5)
        return out * _within(tissues, tissue)

    return opacity


def _within(tissues: Tissues, weights: dict[str, float] | None) -> Array | float:
    if weights is None:
        return smoothstep(0.5 - tissues["hull"])
    return np.clip(sum(tissues[name] * weight for name, weight in weights.items()), 0.0, 1.0)


def wedge(rng: np.random.Generator, apex: Vector, toward: Vector, spread: float, reach: float) -> Opacity:
    """Returns a vascular territory: a cone from `apex` toward the cortex, a little more in cortex."""
    noise, fine = Field(rng, 14.0), Field(rng, 6.0)
    axis = np.asarray(toward, dtype=np.float32) - np.asarray(apex, dtype=np.float32)
    axis /= np.linalg.norm(axis)

    def opacity(q: Array, tissues: Tissues) -> Array:
        offset = q - _vec(apex)
        along = np.sum(offset * axis.reshape(3, 1, 1), axis=0)
        length = np.sqrt(np.sum(offset**2, axis=0)) + 1e-3
        angle = np.rad2deg(np.arccos(np.clip(along / length, -1.0, 1.0)))
        margin = (spread - angle) / 7.0 + 0.9 * noise(q) + 0.35 * fine(q)
        depth = (length - 5.0) / 4.0 + 0.5 * noise(q)
        out = (
            smoothstep(margin + 0.5) * smoothstep(depth) * smoothstep((reach - length) / 5.0 + 0.5 * fine(q))
        )
        return out * _within(tissues, {"gm": 1.0, "wm": 0.88, "csf": 0.12})

    return opacity


def fingers(rng: np.random.Generator, centre: Vector, radii: Vector, strength: float = 0.95) -> Opacity:
    """Returns vasogenic oedema: it follows white matter between the gyri and spares cortex."""
    return blob(
        rng, centre, radii, rough=0.22, grain=16.0, edge=7.0, tissue={"wm": strength, "gm": 0.16, "csf": 0.03}
    )


def _mass(centre: Vector, radii: Vector, strength: float) -> tuple[Array, float, float]:
    return np.asarray(centre, dtype=np.float32), float(np.mean(radii)) * 1.5, strength


def _scaled(radii: Vector, factor: float) -> list[float]:
    return [factor * r for r in radii]


def infarct(rng: np.random.Generator, apex: Vector, toward: Vector, spread: float, reach: float) -> Lesion:
    """Cytotoxic oedema of a territory, swelling its gyri."""
    middle = [(a + b) / 2 for a, b in zip(apex, toward, strict=True)]
    swelling = (np.asarray(middle, dtype=np.float32), 0.7 * reach, 0.10)
    return Lesion([Instance([(wedge(rng, apex, toward, spread, reach), "cytotoxic")])], [swelling])


def haemorrhage(rng: np.random.Generator, centre: Vector, radii: Vector) -> Lesion:
    """Subacute haematoma: bright methaemoglobin around a dark centre, thin dark rim, oedema."""
    seed = rng.integers(2**32)
    outer = blob(np.random.default_rng(seed), centre, radii, rough=0.20)
    inner = blob(np.random.default_rng(seed), centre, _scaled(radii, 0.86), rough=0.20)
    halo = [(fingers(rng, centre, _scaled(radii, 1.7)), "oedema")]
    layers = [
        (outer, "haemosiderin"),
        (inner, "methaemoglobin"),
        (blob(rng, centre, _scaled(radii, 0.6), rough=0.3, grain=6.0, edge=4.0), "deoxyhaemoglobin"),
    ]
    return Lesion([Instance(layers, halo)], [_mass(centre, radii, 0.35)])


def ring_mass(
    rng: np.random.Generator, centre: Vector, radii: Vector, wall: float = 4.0, oedema: float = 2.0
) -> Lesion:
    """Necrotic tumour: uneven nodular enhancing wall, mixed core, oedema, mass effect."""
    shape = rng.integers(2**32)
    kernel = blob(np.random.default_rng(shape), centre, radii, rough=0.22, grain=8.0)
    rim = blob(np.random.default_rng(shape), centre, radii, rough=0.22, grain=8.0, shell=wall)
    nodule = [c + 0.55 * r * s for c, r, s in zip(centre, radii, rng.choice([-1, 1], 3), strict=True)]
    halo = [(fingers(rng, centre, _scaled(radii, oedema)), "oedema")]
    layers = [
        (kernel, "necrosis"),
        (rim, "enhancing"),
        (blob(rng, nodule, _scaled(radii, 0.42), rough=0.25, grain=6.0), "enhancing"),
    ]
    return Lesion([Instance(layers, halo, ("T2", "FLAIR"))], [_mass(centre, radii, 0.45)])


def abscess(rng: np.random.Generator, centre: Vector, radii: Vector) -> Lesion:
    """Pus of restricted diffusion in a thin, smooth, T2-dark capsule, with oedema."""
    shape = rng.integers(2**32)
    kernel = blob(np.random.default_rng(shape), centre, radii, rough=0.10, grain=12.0)
    rim = blob(np.random.default_rng(shape), centre, radii, rough=0.10, grain=12.0, shell=2.4)
    halo = [(fingers(rng, centre, _scaled(radii, 2.0)), "oedema")]
    layers = [(kernel, "pus"), (rim, "capsule")]
    return Lesion([Instance(layers, halo, ("T2", "FLAIR"))], [_mass(centre, radii, 0.45)])


def white_matter(rng: np.random.Generator, foci: Sequence[Vector], active: int = 1) -> Lesion:
    """Several ovoid foci (x, y, z, radius); the first `active` of them enhance."""
    instances = []
    for i, (x, y, z, r) in enumerate(foci):
        radii = np.array([r, r * rng.uniform(0.9, 1.5), r * rng.uniform(0.9, 1.5)])
        where = {"wm": 1.0, "gm": 0.9, "csf": 0.1}
        shape = blob(rng, (x, y, z), radii, rough=0.15, grain=5.0, edge=3.0, tissue=where)
        instances.append(Instance([(shape, "active" if i < active else "demyelination")]))
    return Lesion(instances)


def cyst(rng: np.random.Generator, centre: Vector, radii: Vector, content: str = "csf") -> Lesion:
    """Thin-walled cyst with strong mass effect; `content` csf or epidermoid (lobulated)."""
    rough, grain = (0.20, 9.0) if content == "epidermoid" else (0.07, 16.0)
    shape = blob(rng, centre, radii, rough=rough, grain=grain, edge=1.2)
    return Lesion([Instance([(shape, content)])], [_mass(centre, radii, 0.5)])


def extra_axial(rng: np.random.Generator, centre: Vector, radii: Vector, tail: bool = True) -> Lesion:
    """Dural-based mass: homogeneous, a CSF cleft towards the brain, a dural tail, slight oedema."""
    shape = rng.integers(2**32)
    mass = blob(np.random.default_rng(shape), centre, radii, rough=0.09, grain=14.0, edge=1.2)
    ring = blob(np.random.default_rng(shape), centre, _scaled(radii, 1.07), rough=0.09, grain=14.0, edge=2.5)
    patchy = Field(rng, 12.0)
    wide = blob(rng, centre, _scaled(radii, 1.6), rough=0.1, grain=14.0, edge=4.0)

    def cleft(q: Array, tissues: Tissues) -> Array:
        return ring(q, tissues) * smoothstep(0.45 + 0.5 * patchy(q))

    def dura(q: Array, tissues: Tissues) -> Array:
        return 0.85 * wide(q, tissues) * smoothstep(1.6 - np.abs(tissues["hull"] + 1.2))

    halo = [(fingers(rng, centre, _scaled(radii, 1.7), 0.7), "oedema")]
    layers = [(cleft, "cleft"), (mass, "meningeal")]
    if tail:
        layers.append((dura, "meningeal"))
    return Lesion([Instance(layers, halo)], [_mass(centre, radii, 0.45)])


def oedema(rng: np.random.Generator, areas: Sequence[tuple[Vector, Vector]]) -> Lesion:
    """Vasogenic oedema alone; each area (centre, radii) is an instance."""
    return Lesion([Instance([(fingers(rng, c, r), "oedema")]) for c, r in areas])


def cavernoma(rng: np.random.Generator, centre: Vector, radii: Vector) -> Lesion:
    """Popcorn of mixed-age blood locules inside a complete dark rim."""
    layers = [(blob(rng, centre, radii, rough=0.16, grain=6.0, edge=1.3), "haemosiderin")]
    for _ in range(int(rng.integers(6, 9))):
        offset = rng.normal(0.0, 0.36, 3)
        at = [c + r * o for c, r, o in zip(centre, radii, offset, strict=True)]
        size = _scaled(radii, rng.uniform(0.20, 0.34))
        layers.append((blob(rng, at, size, rough=0.15, grain=4.0, edge=1.2), "methaemoglobin"))
    return Lesion([Instance(layers)])


def deep_symmetric(
    rng: np.random.Generator, centre: Vector, radii: Vector, kind: str = "metabolic"
) -> Lesion:
    """The same lesion on both sides: metabolic (T2-bright) or iron with a bright centre."""
    instances = []
    for side in (1.0, -1.0):
        at = [side * centre[0], centre[1], centre[2]]
        where = {"gm": 1.0, "wm": 1.0, "csf": 0.15}
        layers = [(blob(rng, at, radii, rough=0.13, grain=8.0, edge=1.8, tissue=where), kind)]
        if kind == "iron":
            inner = [at[0] + 0.4 * side, at[1] + 2.0, at[2]]
            layers.append((blob(rng, inner, _scaled(radii, 0.48), rough=0.15, grain=5.0), "metabolic"))
        instances.append(Instance(layers))
    return Lesion(instances)


def midline(rng: np.random.Generator, centre: Vector, radii: Vector, content: str) -> Lesion:
    """A mass of the midline: colloid, germinoma, craniopharyngioma (cyst and wall) or callosal (no mass)."""
    if content == "callosal":
        where = {"wm": 1.0, "gm": 0.3}
        shape = blob(rng, centre, radii, rough=0.12, grain=9.0, edge=2.0, tissue=where)
        return Lesion([Instance([(shape, "cytotoxic")])])
    layers = [(blob(rng, centre, radii, rough=0.09, grain=9.0, edge=1.2), content)]
    if content == "cholesterol":
        solid = [centre[0], centre[1] - 0.3 * radii[1], centre[2] - 0.5 * radii[2]]
        layers.append((blob(rng, solid, _scaled(radii, 0.55), rough=0.25, grain=5.0), "enhancing"))
    return Lesion([Instance(layers)], [_mass(centre, radii, 0.45)])


def dysplasia(rng: np.random.Generator, centre: Vector, radii: Vector) -> Lesion:
    """Thick, blurred cortex with a faint tail toward the ventricle: close to isointense."""
    tissue = {"wm": 1.0, "gm": 0.6}
    cortex = blob(rng, centre, radii, rough=0.2, grain=7.0, edge=3.5, tissue=tissue)
    tail_at = [0.72 * centre[0], centre[1], 0.82 * centre[2] + 1.5]
    tail = blob(rng, tail_at, [0.55 * radii[0] + 4, 4.0, 4.5], rough=0.2, edge=4.0, tissue={"wm": 0.8})
    return Lesion([Instance([(tail, "blurred"), (cortex, "dysplastic")])])


MAKERS: dict[str, Callable[..., Lesion]] = {
    "infarct": infarct,
    "haemorrhage": haemorrhage,
    "ring_mass": ring_mass,
    "abscess": abscess,
    "white_matter": white_matter,
    "cyst": cyst,
    "extra_axial": extra_axial,
    "oedema": oedema,
    "cavernoma": cavernoma,
    "deep_symmetric": deep_symmetric,
    "midline": midline,
    "dysplasia": dysplasia,
}
