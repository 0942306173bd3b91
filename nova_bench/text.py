"""Pure functions on the text of an answer: reasoning blocks, refusals, "nothing abnormal", names of diseases.

The rules are lists of words, anchored to sentences, and they err on the side of "not a refusal" and "not normal": a parser
asks them only where an answer holds nothing else that it can use.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

NORMALISATION_VERSION = 1
"""Of `normalise_diagnosis`; a change of its rules changes coverage and entropy, so it is part of their signature."""


MAX_REMARK = 20_000
"""A longer text is no refusal and no "nothing abnormal", whatever it says: both are a few sentences."""


def strip_thinking(text: str, tags: tuple[str, str] | None) -> tuple[str, bool]:
    """Remove reasoning blocks from an answer.

    A block runs from an opening tag to the next closing tag. A closing tag without an opening one means that the block began
    before: chat templates put the opening tag into the prompt, so what comes first is reasoning, and so is what stands between
    two closing tags.

    Args:
        text: The answer.
        tags: Opening and closing tag as the model writes them; None where the model has none.

    Returns:
        The text without the blocks (stripped where there were any, else unchanged), and whether the last block was never closed.

    >>> strip_thinking("<think>maybe left</think> Right.", ("<think>", "</think>"))
    ('Right.', False)
    >>> strip_thinking("maybe left</think> Right.", ("<think>", "</think>"))
    ('Right.', False)
    >>> strip_thinking("Right. <think>or", ("<think>", "</think>"))
    ('Right.', True)
    """
    if tags is None or not all(tags):
        return text, False
    opening, closing = tags
    either = re.compile("|".join(re.escape(tag) for tag in sorted(tags, key=len, reverse=True)))
    kept: list[str] = []
    begin, inside, found = 0, False, False
    for tag in either.finditer(text):
        found = True
        if inside:
            if tag[0] == closing:
                inside, begin = False, tag.end()
        elif tag[0] == opening:
            kept.append(text[begin : tag.start()])
            inside = True
        else:
            begin = tag.end()
    if not found:
        return text, False
    if not inside:
        kept.append(text[begin:])
    return "".join(kept).strip(), inside


def without_surrogates(text: str) -> str:
    r"""Replace lone surrogates, which no file and no tokeniser takes, by U+FFFD.

    >>> without_surrogates("left \ud83d lobe")
    'left \ufffd lobe'
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _sentences(text: str, *, at_colons: bool = False) -> Iterator[str]:
    """Yield sentences and lines, casefolded, with plain apostrophes, single spaces and no Markdown."""
    plain = text.replace("\u2019", "'").replace("\u2018", "'").casefold()
    for raw in re.split(r"[.!?](?=\s|$)|\n|;|:\s" if at_colons else r"[.!?](?=\s|$)|\n|;", plain):
        sentence = " ".join(re.sub(r"[*_`#\"<>|\[\]{}]+", " ", raw).split()).strip(" -:,.!?")
        if sentence:
            yield sentence


_EXCUSE = (
    r"(?:unfortunately|regrettably|however|as an? (?:ai|artificial|large|language|medical|virtual|vision|text)[^,]{0,60}|"
    r"(?:i'm|i am|we're|we are) (?:\w+ )?sorry|sorry|(?:my )?apologies|i apologi[sz]e[^,]{0,60}|thank(?:s| you)[^,]{0,80}|"
    r"i appreciate[^,]{0,80}|while i[^,]{0,80})"
)
_NOT_FIT = r"not (?:able|qualified|allowed|permitted|designed|equipped|authori[sz]ed|trained) to"
_UNABLE = (
    r"(?:i|we) (?:simply |currently |also )?(?:cannot|can't|can not|could not|couldn't|won't|will not)(?: be able to)?"
    rf"|(?:i am|i'm|we are|we're) (?:unable to|{_NOT_FIT}|not capable of|not comfortable)"
    r"|i(?: am|'m) not an? (?:\w+ )?(?:doctor|physician|radiologist|professional),? (?:and|so) (?:i )?(?:cannot|can't)"
    r"|(?:i|we) (?:do not|don't) have the (?:ability|capability|expertise) to|(?:i|we) (?:must|have to) decline(?: to)?"
)
_IMAGES = r"(?:images?|pictures?|photos?|scans?|mris?|x-rays?|files?|attachments?)\b"
_DECLINED = (
    r"(?:assist|help|comply|fulfil+|provid|offer|giv|analy[sz]|interpret|diagnos|process|answer|respond|discuss|engag|perform|"
    r"do (?:that|this)|complete (?:that|this)|continue with|"
    r"mak(?:e|ing) (?:a |any )?(?:medical |clinical )?(?:diagnos|assessment)|"
    # The image itself, or findings in medical images at large; "I cannot see a lesion in this image" is an answer.
    r"(?:view|see|access|open|read|evaluat|assess|examin|review|identif|annotat|mark|locali[sz]|describ)\w* "
    rf"(?:(?:(?!in |on |from |within )\S+ ){{0,4}}?{_IMAGES}|(?:\S+ ){{0,4}}?(?:in|on|from|within) medical {_IMAGES}))"
)
_REFUSING = re.compile(
    rf"(?:{_EXCUSE}[,:]? ?(?:but |that )?){{0,2}}(?:and |so )?(?:{_UNABLE}) (?:\w+ly )?{_DECLINED}"
    r"|(?:this|that|the|your) request (?:violates|goes against|is against)"
    r"|(?:it|this|that) (?:is|goes) against my (?:\w+ )?(?:guidelines|policy|policies|programming)"
    r"|(?:i'm |i am )?(?:\w+ )?sorry,? (?:but )?(?:can't|cannot)"
)
_COURTESY = re.compile(
    r"please|you (?:should|may|can|could)|if you|feel free|let me know|consult|only a |is there|"
    r"it(?:'s| is) (?:best|important|advisable|always|recommended|essential|crucial)|"
    r"i(?:'d| would)? (?:recommend|suggest|advise|encourage|urge)|(?:however,? )?i'd be (?:happy|glad)|"
    r"(?:however,? |but )?i (?:can|could|would be|am) (?:happy|glad|help|(?:provide|offer|assist with) general)|"
    r"for (?:an? |any )?(?:accurate|proper|medical|diagnos)|medical (?:images?|imaging|diagnos)|"
    r"an? (?:\w+ ){0,2}(?:radiologist|doctor|physician|neurologist|clinician|professional|specialist)|"
    r"thank|sorry|(?:i'm|i am) (?:\w+ )?sorry|i apologi[sz]e"
)
_FINDING = re.compile(
    r"lesion|\bmass(?:es)?\b|intens|signal|enhanc|axial|coronal|sagittal|\bt[12]\b|\bt[12][- ]?w|\bflair\b|\bdwi\b|ventric|"
    r"infarct|ha?emorrhag|o?edema|tumou?r|cyst|atroph|\blobe|hemispher|cortical|white matter|consistent with|suggestive|"
    r"restricted diffusion|malformation|neoplas|glioma|metasta|abscess|sclerosis|demyelinat|thromb|aneurysm|hydroceph|calcif|"
    r"nodul|opaci|effusion|consolidation|fractur|stroke|abnormal|anomal|patholog|swelling|midline shift|asymmetr|dilat|necro"
)


def is_refusal(text: str) -> bool:
    """Return whether an answer declines to answer, in words.

    One of its first sentences must say in the first person that the model cannot or will not do what was asked (help,
    provide, interpret, diagnose, view images ...), and no sentence besides courtesies may carry a finding: a description with a
    disclaimer is an answer.

    >>> is_refusal("I'm sorry, but I can't assist with that."), is_refusal("As an AI I cannot provide a medical diagnosis.")
    (True, True)
    >>> is_refusal("I cannot exclude a small infarct."), is_refusal("The cause cannot be determined.")
    (False, False)
    """
    if len(text) > MAX_REMARK:
        return False
    refusing = False
    for index, sentence in enumerate(_sentences(text, at_colons=True)):
        said = _REFUSING.match(sentence) if index < 3 else None
        if said:
            refusing = True
            # "I cannot diagnose, but the image shows a mass": what follows the turn is an answer.
            turn = re.search(r"\b(?:but|however|although|though)\b(.*)", sentence[said.end() :])
            if turn and _FINDING.search(turn[1]):
                return False
        elif _FINDING.search(sentence) and not _COURTESY.match(sentence):
            return False
    return refusing


_ADJECTIVES = (
    r"(?:(?:significant|obvious|visible|apparent|clear|clearly|focal|acute|evident|definite|gross|intracranial|detectable|"
    r"discernible|identifiable|notable|specific|overt|radiological|imaging|brain|cerebral|structural|pathological|suspicious|"
    r"major|signs?|evidence|indications?|of|any|or) )*"
)
_NOTHING_NOUN = (
    r"(?:abnormalit(?:y|ies)|abnormal (?:areas?|regions?|findings?|signals?|structures?|tissues?)|anomal(?:y|ies)|lesions?|"
    r"patholog(?:y|ies)|(?:pathological )?findings?|targets?|diseases?|abnormal|(?:bounding )?box(?:es)?)\b"
    r"(?! (?:enhancement|in the))"
)
_NOT = r"\b(?:(?:do|did|could|does)(?: not|n't)|cannot|can't|(?:un|not )able to) (?:\w+ly )?"
_SHOWING = r"(?:see|find|detect|identify|observe|note|show|reveal|demonstrate|contain|have|display|appear to (?:be|show|have|contain))"
_NOTHING = re.compile(
    rf"\bno {_ADJECTIVES}{_NOTHING_NOUN}"
    rf"|{_NOT}{_SHOWING} (?:(?:any|an?|there) )?{_ADJECTIVES}"
    rf"(?:{_NOTHING_NOUN}|(?<=of )[^:]{{1,200}}\bother (?:\w+ )?(?:patholog|abnormal))"
    rf"|\b(?:without|free of|absence of) (?:any )?{_ADJECTIVES}{_NOTHING_NOUN}"
    r"|\bnothing (?:\w+ly )?(?:abnormal|unusual|pathological|suspicious)"
    r"|\b(?:mri|mr|scan|image|study|brain|examination|exam|x-ray|radiograph|slice|picture) (?:\w+ )?(?:is|appears?|looks?|seems?)"
    r"(?: to be)?(?: (?:completely|entirely|essentially|overall|grossly))? (?:normal|unremarkable|within normal limits)"
    r"|^(?:(?:this|the|it|an?|is|appears|overall|essentially|completely|grossly|structurally|impression|conclusion|answer|result|"
    r"findings?|diagnosis|normal|unremarkable)[:,]? )*(?:normal|unremarkable)"
    r"(?: (?:mri|mr|brain|head|cranial|cerebral|scan|image|study|examination|exam|appearance|imaging|anatomy|slice|of|the|chest|"
    r"x-ray|radiograph|t1|t2|flair|axial|sagittal|coronal|weighted|t1-weighted|t2-weighted))*$"
    r"|^(?:(?:the )?(?:answer|result|findings?|output|boxes|label)(?: is)?[:,]? )?"
    r"(?:none|nothing|no|nil|null|n/a|negative)(?: (?:found|detected|seen|visible|present))?$"
)
_EXCEPTED = re.compile(
    r"\b(?:except|apart from|other than|besides|aside from|but|however|although|though|unless|beyond|"
    r"not (?:entirely |completely )?(?:normal|unremarkable)|no (?:other|further|additional|second|new)|"
    r"any (?:other|further|additional))\b"
)
_ADVICE = re.compile(
    r"radiologist|physician|doctor|clinician|clinical|professional|consult|correlat|diagnosis should"
)
_NEGATED = re.compile(
    r"\b(?:no|not|without|absent|absence|free of|negative|nothing|none|normal|unremarkable|cannot|preserved|clear)\b|n't\b"
)


def says_nothing_abnormal(text: str) -> bool:
    """Return whether an answer says in words that the image shows nothing abnormal.

    At least one sentence must say so of the whole image, no sentence may make an exception ("except", "other than", "but" ...),
    and no other sentence may name a finding that it does not negate. "No haemorrhage" alone says nothing of the whole.

    >>> says_nothing_abnormal("no target"), says_nothing_abnormal("I do not see any abnormal area.")
    (True, True)
    >>> says_nothing_abnormal("No abnormality except a lesion in the left frontal lobe."), says_nothing_abnormal("abnormal")
    (False, False)
    """
    if len(text) > MAX_REMARK:
        return False
    said = False
    for sentence in _sentences(text):
        if _EXCEPTED.search(sentence) and not _ADVICE.search(sentence):
            return False
        if _NOTHING.search(sentence):
            said = True
        elif _FINDING.search(sentence) and not _NEGATED.search(sentence):
            return False
    return said


_QUALIFIERS = tuple(
    tuple(words.split())
    for words in (
        "most likely", "likely", "most probable", "most probably", "probable", "probably", "suspected", "suspicion of",
        "suspicious for", "possible", "possibly", "presumed", "presumptive", "consistent with", "compatible with",
        "suggestive of", "findings consistent with", "features of", "diagnosis of", "a case of", "the", "a", "an",
    )
)  # fmt: skip
_SPELLINGS = tuple(
    (re.compile(british), american)
    for british, american in (
        (r"a+em", "em"),  # haemorrhage, ischaemic, anaemia, leukaemia
        (r"o+edem", "edem"),
        (r"tumour", "tumor"),
        (r"pnoea", "pnea"),
        (r"rrhoea", "rrhea"),
        (r"\boeso", "eso"),
        (r"\boestr", "estr"),
        (r"\bfoet", "fet"),
        (r"\bcoeli", "celi"),
        (r"\baeti", "eti"),
        (r"paed", "ped"),
        (r"gynaec", "gynec"),
        (r"caec", "cec"),
        (r"naev", "nev"),
        (r"palae", "pale"),
        (r"aesthe", "esthe"),
        (r"amoeb", "ameb"),
        (r"leuco", "leuko"),
        (r"sulph", "sulf"),
        (r"fibre", "fiber"),
        (r"centre", "center"),
        (r"\bgrey\b", "gray"),
        (r"\bdisc\b", "disk"),
        (r"behaviour", "behavior"),
        (r"colour", "color"),
        (r"is(ed|ing|ation)\b", r"iz\1"),
    )
)
_PARENTHESISED = re.compile(r"\(\s*([^()\s]{2,12})\s*\)")


def normalise_diagnosis(text: str) -> str:
    """Return a diagnosis in the form in which two are compared as strings; version `NORMALISATION_VERSION`.

    In this order: ligatures spelled out, accents dropped, Unicode NFKC, casefold; a parenthesised abbreviation of the words
    before it dropped (its letters follow one another in them, the first at the start of a word); possessive 's dropped; hyphens
    and all other punctuation to spaces, & to "and"; British to American spelling of common medical stems (haem-, oedem-, tumour,
    leuco-, -ised ...); leading qualifiers ("likely", "suspected", "consistent with" ...) and articles dropped, "the" everywhere
    ("hepatitis A" keeps its letter). Synonyms stay different.

    >>> normalise_diagnosis("Likely Multiple Sclerosis (MS)."), normalise_diagnosis("Haemorrhagic brain-tumour")
    ('multiple sclerosis', 'hemorrhagic brain tumor')
    """
    for ligature, letters in (("\u00e6", "ae"), ("\u00c6", "Ae"), ("\u0153", "oe"), ("\u0152", "Oe")):
        text = text.replace(ligature, letters)
    text = unicodedata.normalize("NFKD", without_surrogates(text))
    text = "".join(char for char in text if not unicodedata.combining(char))
    text = unicodedata.normalize("NFKC", text.casefold())
    text = _PARENTHESISED.sub(
        lambda m: " " if _abbreviates(m[1], text[max(0, m.start() - 200) : m.start()]) else m[0], text
    )
    text = re.sub(r"['\u2019\u02bc`]s\b", "", text).replace("&", " and ")
    text = "".join(char if char.isalnum() else " " for char in text)
    text = " ".join(text.split())
    for spelling, american in _SPELLINGS:
        text = spelling.sub(american, text)
    words = [word for word in text.split() if word != "the"]
    start = 0
    while start < len(words):
        for qualifier in _QUALIFIERS:
            # The last word stays whatever it is: a name is never emptied.
            if tuple(words[start : start + len(qualifier)]) == qualifier and start + len(qualifier) < len(
                words
            ):
                start += len(qualifier)
                break
        else:
            break
    return " ".join(words[start:])


def _abbreviates(short: str, before: str) -> bool:
    """Return whether the letters of ``short`` follow one another in ``before``, the first at the start of a word."""
    letters = [char for char in short if char.isalnum()]
    if len(letters) < 2:
        return False
    start = re.search(rf"\b{re.escape(letters[0])}", before)
    if start is None:
        return False
    rest = iter(before[start.end() :])
    return all(letter in rest for letter in letters[1:])
