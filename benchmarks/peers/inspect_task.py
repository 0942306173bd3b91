"""The benchmark's requests as a task of Inspect AI, in its own types; run by `openai_loopback.py` in Inspect's own environment.

inspect eval inspect_task.py --model openai-api/loopback/m -T folder=PNGS -T n=1000
"""

from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText
from inspect_ai.solver import generate


@task
def pictures(folder: str, n: int, prompt: str) -> Task:
    """Ask one question about each picture, nothing else: no scorer, one generate call a sample."""
    samples = [
        Sample(
            input=[
                ChatMessageUser(
                    content=[ContentText(text=prompt), ContentImage(image=str(Path(folder, f"{i}.png")))]
                )
            ]
        )
        for i in range(n)
    ]
    return Task(dataset=MemoryDataset(samples), solver=generate())
