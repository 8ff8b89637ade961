"""A box that has said hello."""

from tests.admission.box import Box
from tests.admission.campus import Campus


async def connected(campus: Campus, box: Box) -> Box:
    campus.enrol(box)
    assert (await campus.greet(box)).verdict == "resume"
    return box
