"""Templates: many ways to ask, one or two to answer."""

from __future__ import annotations

REFERRING = (
    "Segment {x}.",
    "Please segment {x}.",
    "Where is {x}?",
    "Show me {x}.",
    "Find {x}.",
    "Mark {x} in the image.",
    "Can you outline {x}?",
    "Give me the mask of {x}.",
    "Locate {x}.",
    "Highlight {x}, please.",
)
REFERRING_ANSWERS = ("Here is <p>{x}</p>.", "It is <p>{x}</p>.")
PLURAL = (
    "Segment {x}.",
    "Please segment {x}.",
    "Where are {x}?",
    "Show me {x}.",
    "Find {x}.",
    "Mark {x} in the image.",
    "Can you outline {x}?",
    "Give me the masks of {x}.",
    "Locate {x}.",
    "Highlight {x}, please.",
)
PLURAL_ANSWERS = ("Here are <p>{x}</p>.",)
CAPTION = (
    "Describe the image.",
    "Describe what you see and show where it is.",
    "What is in this picture?",
    "Give a short grounded caption.",
    "Write a caption for this image with masks.",
    "Tell me about this scene.",
    "What objects can you see?",
    "Describe the scene briefly.",
)
INVENTORY = (
    "List every object from left to right.",
    "Name all objects, from left to right, with their masks.",
    "Which objects are there, from left to right?",
    "Go through the objects from left to right.",
    "Segment and name everything, left to right.",
    "Give me a list of all objects in the image.",
)
NEARER = (
    "Which is nearer, {x} or {y}?",
    "Which object is closer to the camera: {x} or {y}?",
    "Is {x} or {y} closer?",
    "What is nearer to the camera, {x} or {y}?",
    "Of {x} and {y}, which one is closer?",
    "Tell me which is closer to us, {x} or {y}.",
    "{x} or {y}: which is nearer?",
    "Between {x} and {y}, what is closer to the viewer?",
)
COUNTING = (
    "How many {x} are there?",
    "How many {x} can you see?",
    "Count the {x}.",
    "What is the number of {x}?",
    "How many {x} are in the image?",
    "Tell me how many {x} there are.",
    "Please count the {x} in the picture.",
    "Number of {x}?",
)
ATTRIBUTE = {
    "color": (
        "What color is {x}?",
        "What is the color of {x}?",
        "Which color does {x} have?",
        "Tell me the color of {x}.",
        "{x} has what color?",
        "Name the color of {x}.",
        "What color does {x} have?",
        "In which color is {x}?",
    ),
    "shape": (
        "What shape is {x}?",
        "What is the shape of {x}?",
        "Which shape does {x} have?",
        "Tell me the shape of {x}.",
        "{x} has what shape?",
        "Name the shape of {x}.",
        "What kind of shape is {x}?",
        "Which shape is {x}?",
    ),
    "material": (
        "Is {x} matte, metal, striped, checkered or dotted?",
        "What is the surface of {x} like?",
        "What does the surface of {x} look like?",
        "Which material or pattern does {x} have?",
        "Tell me the material of {x}.",
        "What pattern or material is {x}?",
        "Name the surface of {x}.",
        "How is the surface of {x}?",
    ),
    "size": (
        "What size is {x}?",
        "Is {x} small, medium or large?",
        "How big is {x}?",
        "What is the size of {x}?",
        "Tell me the size of {x}.",
        "Which size does {x} have?",
        "How large is {x}?",
        "Name the size of {x}.",
    ),
}
EXISTENCE = (
    "Is there {x}?",
    "Is there {x} in the image?",
    "Can you see {x}?",
    "Does the picture show {x}?",
    "Do you see {x} anywhere?",
    "Does the image contain {x}?",
    "Is {x} in the scene?",
    "Is {x} visible?",
)
COMPARISON = (
    "Is {x} {r} {y}?",
    "Would you say {x} is {r} {y}?",
    "{x} is {r} {y}: true?",
    "Do you see {x} {r} {y}?",
    "Is it true that {x} is {r} {y}?",
    "Check whether {x} is {r} {y}.",
    "Does {x} appear {r} {y}?",
    "Am I right that {x} is {r} {y}?",
)
MORE = (
    "Are there more {x} than {y}?",
    "Are there more {x} than {y} in the image?",
    "Can you see more {x} than {y}?",
    "Does the picture show more {x} than {y}?",
    "Do the {x} outnumber the {y}?",
    "Is the number of {x} larger than that of {y}?",
    "More {x} than {y}?",
    "Would you say there are more {x} than {y}?",
)
NEAREST = (
    "Which of these objects is the nearest to the camera?",
    "Which of these is closest to the camera?",
    "Of these objects, which one is nearest?",
    "What is the nearest of the following objects?",
    "Which object listed here is closest to us?",
    "Which of the following is closest to the viewer?",
    "Choose the object nearest to the camera.",
    "Pick the object that is closest.",
)
BESIDE = (
    "What is {r} {x}?",
    "What do you see {r} {x}?",
    "What can you see {r} {x}?",
    "Which thing is {r} {x}?",
    "Name what is {r} {x}.",
    "Tell me what is {r} {x}.",
    "What stands or lies {r} {x}?",
    "Find what is {r} {x}.",
)
WHICH_PLACE = (
    "Which place is this?",
    "Where was this picture taken?",
    "What kind of place is shown?",
    "Which room or place does the image show?",
    "What place do you see?",
    "Where are we?",
    "Name the place in the picture.",
    "Which of these places is it?",
)
CELL = (
    "In which cell of the 10 by 10 grid is point {x}?",
    "Which grid cell holds point {x}?",
    "Where is point {x}? Give row and column.",
    "Row and column of point {x}?",
    "Locate the circled point {x} on the grid.",
    "Which cell is point {x} in?",
    "Give the grid cell of point {x}.",
    "At which row and column is the circle of letter {x}?",
)
NEARNESS = (
    "How near is point {x}?",
    "What is the nearness of point {x}?",
    "Give the nearness of point {x}.",
    "How close is the circled point {x}?",
    "Nearness of point {x}?",
    "Read the depth at point {x}.",
    "How near to the camera is point {x}?",
    "Estimate the nearness of point {x}.",
)
PLACE = (
    "Give the grid cell of {x}.",
    "Row and column of {x}?",
    "Read off the place of {x}.",
    "On the 10 by 10 grid, where do you see {x}?",
    "Locate {x} on the grid.",
    "In which cell of the grid can I find {x}?",
    "Tell me row and column of {x}.",
    "Grid cell of {x}?",
)
READING = (
    "Give grid cell and nearness of {x}.",
    "Read off the place and the nearness of {x}.",
    "Locate {x} on the grid, and tell how near.",
    "Place and nearness of {x}?",
    "Read the depth at {x}.",
    "Tell me cell and nearness of {x}.",
    "Estimate the nearness of {x}.",
    "Give the nearness of {x}.",
)
_SPOKEN_AS_YOU = ("urin", "uten", "uni", "uku", "eu")
CHOICE_TAIL = "Answer with the option's letter from the given choices directly."


def a(words: str) -> str:
    """The words with the indefinite article: by their sound, "a urinal"."""
    vowel = words[0] in "aeiouA" and not words.startswith(_SPOKEN_AS_YOU)
    return f"{'an' if vowel else 'a'} {words}"
