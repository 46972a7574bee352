"""What a conversion writes is what `data check` accepts: each sample is read as training reads it, then written."""

from __future__ import annotations

import re
from dataclasses import replace

from perceptio.data.adapters.source import Source
from perceptio.data.fields import SampleError
from perceptio.data.reading import inspect_sample
from perceptio.data.schema import Sample

_TURN = re.compile(r"turns\[(\d+)\](?:\.(\w+))?")


def accepted(sample: Sample, source: Source) -> Sample | None:
    """A sample without the turns that `data check` would refuse; None if nothing is left, or it is refused as a whole.

    What is left out is counted in the source by its reason, with the place of the first.
    """
    where = f"sample {sample.key}"
    while sample.turns:
        problems = _problems(sample, source, where)
        if not problems:
            return sample
        bad: set[int] = set()
        for problem in problems:
            found = _TURN.match(problem.field)
            if found is None:
                field = re.split(r"\W", problem.field)[0]
                source.leave_out(f"samples whose {field} cannot be used", where=str(problem))
                return None
            number = int(found[1])
            if number not in bad:
                what = f"turns whose {found[2] or 'form'} {problem.reason.partition(':')[0]}"
                source.leave_out(what, where=str(problem))
            bad.add(number)
        sample = replace(sample, turns=tuple(turn for number, turn in enumerate(sample.turns) if number not in bad))
    return None


def _problems(sample: Sample, source: Source, where: str) -> list[SampleError]:
    try:
        Sample.from_dict(sample.to_dict(where), where)  # its form: that is all that ends here at the first problem
    except SampleError as error:
        return [error]
    depth = None if sample.depth is None else str(source.place(str(sample.depth)))
    there = replace(sample, image=str(source.place(str(sample.image))), depth=depth)
    return inspect_sample(there, source.home, where)[1]
