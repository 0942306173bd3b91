"""The table of NOVA-mini's cases: invented patients, their lesions, and the slices that show them.

Every history and diagnosis is fiction written for this set. Coordinates are MNI millimetres, +x is the
patient's right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One invented patient.

    Attributes:
        kind: Key of `lesions.MAKERS`, or "normal".
        diagnosis: Final diagnosis.
        history: Clinical history; does not contain the diagnosis.
        where: Place of the lesion, as captions name it.
        at: Anatomical point that the slices pass through, mm.
        lesion: Arguments of the lesion's maker.
        slices: One image each, as "plane sequence offset_mm annotation"; annotation is gold (with raters),
            alone (gold and no rater), raters (no gold), null (no annotation) or normal (no annotation, no
            visible lesion).
        atrophy: 0 young to 1 old.
    """

    kind: str
    diagnosis: str
    history: str
    where: str
    at: tuple[float, float, float]
    lesion: dict[str, Any]
    slices: tuple[str, ...]
    atrophy: float = 0.2


CASES: tuple[Case, ...] = (
    Case(
        "infarct",
        "MELAS syndrome",
        "A 24-year-old woman with short stature and hearing loss had a generalised seizure followed by "
        "visual field loss and vomiting. Serum lactate was raised.",
        "the left temporo-occipital region, crossing arterial borders",
        (-42, -62, 4),
        {"apex": (-22, -46, 6), "toward": (-52, -70, 2), "spread": 32, "reach": 44},
        ("axial FLAIR 0 gold", "axial DWI 2 gold", "coronal T2 0 gold"),
        0.35,
    ),
    Case(
        "infarct",
        "Moyamoya disease",
        "A 13-year-old boy developed sudden right-sided weakness and speech disturbance after strenuous "
        "exercise. He had complained of episodic headaches for a year.",
        "the left middle cerebral artery territory",
        (-44, -6, 22),
        {"apex": (-22, -4, 16), "toward": (-60, -6, 28), "spread": 34, "reach": 52},
        ("axial DWI 0 gold", "axial T2 4 gold"),
        0.05,
    ),
    Case(
        "infarct",
        "Vertebral artery dissection",
        "A 38-year-old man noticed neck pain after a chiropractic manipulation. Two days later he woke with vertigo, hiccups and an unsteady gait.",
        "the right posterior inferior cerebellar artery territory",
        (24, -66, -42),
        {"apex": (6, -54, -34), "toward": (34, -74, -46), "spread": 40, "reach": 40},
        ("axial FLAIR 4 gold",),
    ),
    Case(
        "haemorrhage",
        "Cerebral amyloid angiopathy",
        "A 76-year-old woman without hypertension was found confused, with new right arm weakness. She takes no anticoagulant.",
        "the left frontal lobe",
        (-32, 28, 26),
        {"centre": (-32, 28, 26), "radii": (13, 18, 13)},
        ("axial T1 0 gold", "axial T2 3 gold", "sagittal T1 0 raters"),
        0.8,
    ),
    Case(
        "haemorrhage",
        "Ruptured arteriovenous malformation",
        "A 29-year-old man collapsed with thunderclap headache and left hemiparesis. Blood pressure on arrival was 135/80 mmHg.",
        "the right external capsule and putamen",
        (30, -2, 4),
        {"centre": (30, -2, 4), "radii": (10, 19, 13)},
        ("axial FLAIR 0 gold", "coronal T1 0 gold"),
    ),
    Case(
        "ring_mass",
        "Glioblastoma",
        "A 61-year-old man presented with six weeks of progressive headache, word-finding difficulty and a first focal seizure.",
        "the left temporal lobe",
        (-44, -26, -6),
        {"centre": (-44, -26, -6), "radii": (13, 18, 13)},
        ("axial T1ce 0 gold", "axial FLAIR 0 gold", "coronal T1ce 0 gold", "axial DWI 2 gold"),
        0.5,
    ),
    Case(
        "ring_mass",
        "Gliosarcoma",
        "A 55-year-old woman reported apathy and personality change noticed by her family over two months, with morning vomiting in the past week.",
        "the right frontal lobe",
        (28, 38, 18),
        {"centre": (28, 38, 18), "radii": (16, 17, 15), "wall": 6.0},
        ("axial T2 0 gold", "axial T1ce 2 gold"),
        0.4,
    ),
    Case(
        "ring_mass",
        "Metastatic choriocarcinoma",
        "A 31-year-old woman, eight months after a molar pregnancy, had headaches, ataxia and irregular vaginal bleeding.",
        "the left cerebellar hemisphere",
        (-26, -62, -34),
        {"centre": (-26, -62, -34), "radii": (12, 13, 11), "wall": 3.4, "oedema": 1.7},
        ("axial T1ce 0 gold",),
    ),
    Case(
        "white_matter",
        "Susac syndrome",
        "A 27-year-old woman had subacute encephalopathy, fluctuating hearing loss and blurred vision in the left eye.",
        "the periventricular and deep white matter of both hemispheres",
        (0, -12, 26),
        {
            "foci": (
                (-24, 12, 25, 4.5),
                (26, -18, 27, 5.0),
                (-26, -30, 26, 5.5),
                (24, 18, 25, 3.8),
                (-31, -8, 28, 3.6),
            )
        },
        ("axial FLAIR 0 gold", "axial T2 1 gold"),
        0.15,
    ),
    Case(
        "white_matter",
        "Acute disseminated encephalomyelitis",
        "A 7-year-old boy became drowsy and unsteady two weeks after an upper respiratory infection. There"
        " was mild pleocytosis in the cerebrospinal fluid.",
        "the subcortical white matter of both hemispheres",
        (0, -14, 36),
        {"foci": ((-30, 6, 36, 7.5), (32, -20, 36, 8.0), (-28, -44, 37, 6.0)), "active": 2},
        ("axial FLAIR 0 gold", "axial T1ce 0 raters"),
        0.0,
    ),
    Case(
        "white_matter",
        "CADASIL",
        "A 46-year-old man with migraine with aura since youth had recurrent lacunar events and low mood. His mother had early dementia.",
        "the frontal and parietal periventricular white matter",
        (0, 0, 22),
        {
            "foci": ((-25, 24, 20, 6.0), (25, 25, 21, 6.5), (-27, -36, 23, 7.0), (28, -34, 22, 6.5)),
            "active": 0,
        },
        ("axial FLAIR 0 gold",),
        0.6,
    ),
    Case(
        "cyst",
        "Arachnoid cyst",
        "A 19-year-old man had a scan after a minor sports injury. He has occasional headaches and no deficit.",
        "the left middle cranial fossa",
        (-46, 12, -20),
        {"centre": (-46, 14, -20), "radii": (19, 20, 18)},
        ("axial T2 2 gold", "coronal T1 0 gold", "axial FLAIR 4 alone"),
        0.1,
    ),
    Case(
        "cyst",
        "Epidermoid cyst",
        "A 42-year-old woman described right-sided facial pain in brief electric shocks, and reduced hearing on the same side.",
        "the right cerebellopontine angle",
        (24, -36, -36),
        {"centre": (25, -36, -36), "radii": (12, 15, 12), "content": "epidermoid"},
        ("axial DWI 0 gold", "axial T2 2 gold"),
    ),
    Case(
        "cyst",
        "Neuroglial cyst",
        "A 50-year-old man was scanned for long-standing tension-type headache. The neurological examination was unremarkable.",
        "the right frontal white matter",
        (26, 22, 24),
        {"centre": (26, 22, 24), "radii": (10, 13, 10)},
        ("axial T1 0 gold",),
        0.3,
    ),
    Case(
        "extra_axial",
        "Meningioma",
        "A 58-year-old woman had a focal motor seizure of the left arm. Between attacks she feels well.",
        "the right frontal convexity",
        (50, 12, 38),
        {"centre": (52, 12, 38), "radii": (16, 19, 17)},
        ("axial T1ce 0 gold", "coronal T1ce 2 gold", "axial T2 0 gold"),
        0.5,
    ),
    Case(
        "extra_axial",
        "Solitary fibrous tumour",
        "A 44-year-old man reported progressive headache and a palpable fullness above the left ear.",
        "the left parietal convexity",
        (-56, -42, 30),
        {"centre": (-57, -42, 30), "radii": (15, 20, 18), "tail": False},
        ("axial T1ce 0 gold", "axial FLAIR 0 gold"),
        0.35,
    ),
    Case(
        "extra_axial",
        "Meningioma",
        "A 67-year-old woman developed slowly increasing weakness of both legs and urinary urgency over one year.",
        "the parasagittal region at the vertex, on the right of the falx",
        (13, -28, 62),
        {"centre": (13, -28, 64), "radii": (13, 17, 14)},
        ("coronal T1ce 0 gold", "sagittal T1ce 0 gold"),
        0.6,
    ),
    Case(
        "abscess",
        "Pyogenic brain abscess",
        "A 35-year-old man with neglected dental disease had ten days of headache, low-grade fever and increasing drowsiness.",
        "the left frontal lobe",
        (-30, 36, 10),
        {"centre": (-30, 36, 10), "radii": (12, 14, 12)},
        ("axial DWI 0 gold", "axial T1ce 0 gold", "axial T2 2 gold"),
    ),
    Case(
        "abscess",
        "Cerebral nocardiosis",
        "A 63-year-old kidney-transplant recipient presented with confusion and left-sided neglect after weeks of a productive cough.",
        "the right parietal lobe",
        (34, -48, 38),
        {"centre": (34, -48, 38), "radii": (11, 12, 11)},
        ("axial T1ce 0 gold", "coronal DWI 0 gold"),
        0.5,
    ),
    Case(
        "oedema",
        "Posterior reversible encephalopathy syndrome",
        "A 33-year-old woman, five days after delivery, had headache, cortical blindness and a seizure. Blood pressure was 190/110 mmHg.",
        "the subcortical white matter of both parieto-occipital regions",
        (0, -74, 18),
        {"areas": (((26, -78, 16), (17, 20, 22)), ((-26, -78, 16), (17, 20, 22)))},
        ("axial FLAIR 0 gold", "axial FLAIR 12 gold", "axial DWI 0 normal"),
        0.1,
    ),
    Case(
        "oedema",
        "Cerebral amyloid angiopathy-related inflammation",
        "A 72-year-old man had subacute cognitive decline and a visual field defect over three weeks. Inflammatory markers were normal.",
        "the right temporal and parietal white matter",
        (38, -40, 12),
        {"areas": (((38, -40, 12), (20, 32, 24)),)},
        ("axial T2 0 gold", "axial FLAIR 0 gold"),
        0.8,
    ),
    Case(
        "cavernoma",
        "Cavernous malformation",
        "A 40-year-old woman had a sudden sixth nerve palsy and facial numbness, which improved over several weeks.",
        "the pons",
        (3, -26, -32),
        {"centre": (3, -26, -32), "radii": (8, 7, 8)},
        ("axial T2 0 gold", "sagittal T1 0 gold"),
    ),
    Case(
        "cavernoma",
        "Cavernous malformation",
        "A 26-year-old man with a family history of epilepsy had his first nocturnal seizure.",
        "the left frontal subcortical white matter",
        (-26, 12, 36),
        {"centre": (-26, 12, 36), "radii": (9, 10, 9)},
        ("axial T2 0 gold",),
        0.1,
    ),
    Case(
        "deep_symmetric",
        "Leigh syndrome",
        "A 3-year-old girl lost motor milestones after a febrile illness, with hypotonia, nystagmus and irregular breathing.",
        "both putamina",
        (0, 4, 2),
        {"centre": (25, 4, 2), "radii": (7, 15, 10)},
        ("axial T2 0 gold", "axial FLAIR 2 gold"),
        0.1,
    ),
    Case(
        "deep_symmetric",
        "Pantothenate kinase-associated neurodegeneration",
        "A 9-year-old boy had progressive dystonia of the legs, dysarthria and abnormal retinal pigmentation.",
        "both globi pallidi",
        (0, -4, 0),
        {"centre": (19, -4, 0), "radii": (6.5, 11, 7.5), "kind": "iron"},
        ("axial T2 0 gold", "coronal T2 0 gold"),
        0.2,
    ),
    Case(
        "deep_symmetric",
        "Wernicke encephalopathy",
        "A 37-year-old woman with persistent vomiting after bariatric surgery became confused, with double vision and an unsteady gait.",
        "the medial thalami",
        (0, -17, 7),
        {"centre": (8.5, -16, 7), "radii": (6, 9, 7)},
        ("axial FLAIR 0 gold",),
    ),
    Case(
        "midline",
        "Colloid cyst",
        "A 34-year-old man had paroxysmal headaches that changed with posture, and one brief loss of consciousness.",
        "the roof of the third ventricle at the foramina of Monro",
        (0, 3, 9),
        {"centre": (0, 3, 9), "radii": (6.5, 7, 6.5), "content": "colloid"},
        ("axial FLAIR 0 gold", "sagittal T1 0 gold"),
        0.4,
    ),
    Case(
        "midline",
        "Germinoma",
        "A 15-year-old boy had two months of headache and an upward gaze palsy. Serum beta-hCG was slightly raised.",
        "the pineal region",
        (0, -32, 3),
        {"centre": (0, -32, 3), "radii": (10, 11, 10), "content": "germinoma"},
        ("sagittal T1ce 0 gold", "axial T1ce 0 gold", "axial DWI 0 null"),
        0.1,
    ),
    Case(
        "midline",
        "Craniopharyngioma",
        "An 11-year-old girl had growth arrest, polyuria and loss of the outer visual fields on both sides.",
        "the suprasellar cistern",
        (0, 4, -17),
        {"centre": (0, 4, -17), "radii": (10, 11, 12), "content": "cholesterol"},
        ("sagittal T1 0 gold", "coronal T1ce 0 gold"),
        0.1,
    ),
    Case(
        "midline",
        "Mild encephalopathy with reversible splenial lesion",
        "A 21-year-old student with influenza had two days of delirious behaviour and slurred speech. Recovery was complete within a week.",
        "the splenium of the corpus callosum",
        (0, -38, 14),
        {"centre": (0, -38, 14), "radii": (13, 6.5, 6.5), "content": "callosal"},
        ("axial DWI 0 gold",),
        0.1,
    ),
    Case(
        "dysplasia",
        "Focal cortical dysplasia type II",
        "A 17-year-old girl has had stereotyped nocturnal hypermotor seizures since the age of six, resistant to three drugs.",
        "the left middle frontal gyrus",
        (-36, 28, 30),
        {"centre": (-38, 29, 31), "radii": (9, 10, 9)},
        ("axial T1 0 gold", "axial FLAIR 0 gold", "axial T2 16 normal"),
        0.05,
    ),
    Case(
        "dysplasia",
        "Focal cortical dysplasia type II",
        "A 12-year-old boy has daily focal seizures with a sensory onset in the left hand. An earlier scan was reported as unremarkable.",
        "the right postcentral gyrus",
        (44, -26, 44),
        {"centre": (44, -26, 45), "radii": (8, 9, 9)},
        ("coronal T2 0 gold", "axial FLAIR 0 null"),
        0.05,
    ),
    Case(
        "normal",
        "Glucose transporter type 1 deficiency syndrome",
        "A 5-year-old boy has seizures before breakfast, acquired microcephaly and a paroxysmal gait "
        "disorder. Glucose in the cerebrospinal fluid was low.",
        "",
        (0, -6, 14),
        {},
        ("axial T2 0 normal",),
        0.0,
    ),
)
