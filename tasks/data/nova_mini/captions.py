"""The words of NOVA-mini's captions, in the register of a teaching case."""

from __future__ import annotations

import numpy as np
from cases import Case

# What captions say of each kind: nouns, then signal by sequence, then a possible second sentence by sequence.
NOUNS: dict[str, tuple[str, ...]] = {
    "infarct": ("gyriform area of swelling", "wedge-shaped cortico-subcortical lesion"),
    "haemorrhage": ("intraparenchymal haematoma", "parenchymal haemorrhage"),
    "ring_mass": ("irregular necrotic mass", "infiltrative intra-axial mass"),
    "white_matter": ("multiple ovoid lesions", "several focal lesions"),
    "cyst": ("well-defined cystic lesion", "sharply marginated cyst"),
    "extra_axial": ("broad-based extra-axial mass", "dural-based extra-axial lesion"),
    "abscess": ("thin-walled round lesion", "smooth-walled cavity"),
    "oedema": ("confluent vasogenic oedema", "poorly marginated confluent abnormality"),
    "cavernoma": ("lobulated popcorn-like lesion", "well-circumscribed reticulated lesion"),
    "deep_symmetric": ("bilateral symmetrical lesions", "symmetrical signal abnormality"),
    "midline": ("round midline lesion", "well-defined midline abnormality"),
    "dysplasia": ("subtle cortical thickening", "focal blurring of the grey-white matter junction"),
}

SIGNAL: dict[str, dict[str, str]] = {
    "infarct": {"FLAIR": "hyperintense", "DWI": "markedly hyperintense", "T2": "hyperintense"},
    "haemorrhage": {"T1": "predominantly hyperintense", "T2": "mixed-intensity", "FLAIR": "mixed-intensity"},
    "ring_mass": {
        "T1ce": "peripherally enhancing",
        "FLAIR": "hyperintense",
        "T2": "heterogeneous",
        "DWI": "mildly hyperintense",
    },
    "white_matter": {"FLAIR": "hyperintense", "T2": "hyperintense", "T1ce": "partly enhancing"},
    "cyst": {
        "T1": "CSF-isointense",
        "T2": "markedly hyperintense",
        "FLAIR": "fully suppressed",
        "DWI": "hyperintense",
    },
    "extra_axial": {
        "T1ce": "homogeneously enhancing",
        "T2": "nearly isointense",
        "FLAIR": "mildly hyperintense",
    },
    "abscess": {"T1ce": "ring-enhancing", "T2": "hyperintense", "DWI": "markedly hyperintense"},
    "oedema": {"FLAIR": "hyperintense", "T2": "hyperintense"},
    "cavernoma": {"T2": "mixed-intensity", "T1": "heterogeneous"},
    "deep_symmetric": {"T2": "hyperintense", "FLAIR": "hyperintense"},
    "midline": {"T1": "hyperintense", "FLAIR": "hyperintense", "T1ce": "enhancing", "DWI": "hyperintense"},
    "dysplasia": {"T1": "nearly isointense", "FLAIR": "slightly hyperintense", "T2": "slightly hyperintense"},
}

SECOND: dict[str, dict[str, tuple[str, ...]]] = {
    "infarct": {
        "FLAIR": ("There is effacement of the adjacent sulci.", "No haemorrhagic component is seen."),
        "DWI": ("The appearance is in keeping with restricted diffusion.",),
    },
    "haemorrhage": {
        "T1": ("There is mild perilesional oedema and mass effect.",),
        "T2": ("A thin hypointense rim and surrounding oedema are present.",),
        "FLAIR": ("Surrounding hyperintensity represents oedema.",),
    },
    "ring_mass": {
        "T1ce": (
            "A nodular component enhances along the wall.",
            "The centre does not enhance, suggesting necrosis.",
        ),
        "FLAIR": ("Extensive surrounding vasogenic oedema causes local mass effect.",),
        "T2": ("Perilesional oedema extends into the adjacent white matter.",),
        "DWI": ("The necrotic centre shows no restricted diffusion.",),
    },
    "white_matter": {
        "FLAIR": ("There is no significant mass effect.",),
        "T1ce": ("The remaining foci do not enhance.",),
    },
    "cyst": {
        "T1": ("No solid component is visible.",),
        "T2": ("It displaces the adjacent brain.", "There is no perilesional oedema."),
        "DWI": ("The adjacent brainstem is mildly compressed.",),
    },
    "extra_axial": {
        "T1ce": ("It abuts the dura over a broad base.", "The adjacent cortex is displaced inwards."),
        "T2": ("A cerebrospinal fluid cleft separates it from the brain.",),
    },
    "abscess": {
        "T1ce": ("The wall is thin and regular.", "Hypointense surrounding white matter represents oedema."),
        "T2": ("The capsule is hypointense and there is marked surrounding oedema.",),
        "DWI": ("The content shows restricted diffusion.",),
    },
    "oedema": {"FLAIR": ("The overlying cortex is largely spared.",), "T2": ("Sulci are partly effaced.",)},
    "cavernoma": {
        "T2": ("A complete hypointense haemosiderin rim surrounds it; there is no oedema.",),
        "T1": ("Internal bright locules suggest blood products of different age.",),
    },
    "deep_symmetric": {
        "T2": ("The remaining basal ganglia are preserved.",),
        "FLAIR": ("There is no mass effect.",),
    },
    "midline": {"FLAIR": ("The lateral ventricles are not dilated.",), "DWI": ("There is no mass effect.",)},
    "dysplasia": {"FLAIR": ("A faint band extends towards the lateral ventricle.",)},
}

# Where a diagnosis looks unlike the rest of its kind.
SIGNAL_OVERRIDE: dict[tuple[str, str], str] = {
    ("Pantothenate kinase-associated neurodegeneration", "T2"): "hypointense, centrally hyperintense",
    ("Epidermoid cyst", "T2"): "lobulated hyperintense",
    ("Solitary fibrous tumour", "T1ce"): "avidly enhancing",
    ("Craniopharyngioma", "T1ce"): "partly cystic, enhancing",
}
NORMAL: tuple[str, ...] = (
    "No focal abnormality is seen.",
    "The brain parenchyma appears normal at this level, without mass effect.",
    "Ventricles and sulci are of normal size; there is no abnormal signal.",
)
OPENINGS: tuple[str, ...] = (
    "{plane} {sequence} image shows {finding}.",
    "{plane} {sequence} image demonstrates {finding}.",
    "{plane} {short}: {finding}.",
    "On the {plane_lower} {sequence} image there is {finding}.",
    "{plane} {short} MRI of the brain reveals {finding}.",
)
SEQUENCE_NAMES: dict[str, tuple[str, str]] = {
    "T1": ("T1-weighted", "T1w"),
    "T1ce": ("contrast-enhanced T1-weighted", "post-contrast T1w"),
    "T2": ("T2-weighted", "T2w"),
    "FLAIR": ("FLAIR", "T2-FLAIR"),
    "DWI": ("diffusion-weighted", "DWI"),
}


def caption(case: Case, plane: str, sequence: str, normal: bool, rng: np.random.Generator) -> str:
    """Writes one to three sentences in the register of a teaching case."""
    long, short = SEQUENCE_NAMES[sequence]
    if normal:
        opening = str(
            rng.choice([f"{plane.capitalize()} {long} image.", f"{plane.capitalize()} {short} slice."])
        )
        return f"{opening} {NORMAL[int(rng.integers(len(NORMAL)))]}"
    noun = NOUNS[case.kind][int(rng.integers(2))]
    word = SIGNAL_OVERRIDE.get((case.diagnosis, sequence), SIGNAL[case.kind][sequence])
    plural = noun.endswith("lesions")
    article = "" if plural or noun.split()[-1] in ("oedema", "thickening") else "a "
    if article and word[0] in "aeiou":
        article = "an "
    if noun.startswith(("multiple", "several", "bilateral")):
        count, rest = noun.split(" ", 1)
        finding = f"{count} {word} {rest} in {case.where}"
    elif noun.startswith("subtle"):
        finding = f"{noun} in {case.where}, {word} to grey matter"
    else:
        finding = f"{article}{word} {noun} in {case.where}"
    opening = OPENINGS[int(rng.integers(len(OPENINGS)))]
    if plural:
        opening = opening.replace("there is", "there are")
    text = opening.format(
        plane=plane.capitalize(), plane_lower=plane, sequence=long, short=short, finding=finding
    )
    more = SECOND[case.kind].get(sequence, ())
    if more and rng.random() < 0.75:
        text += " " + more[int(rng.integers(len(more)))]
    return text
