"""The colour word that a person would use for what is seen, or none where people would differ."""

from __future__ import annotations

import numpy as np

# sRGB of what each word is used for, dark and pale kinds too.
_EXAMPLES = {
    "red": "e50000 c0392b 8b1a1a d62828 a4001c ff3b30 b22222 d9453f 6e0f12 a52a2a",
    "orange": "f97306 ff8c1a e8710d d9661f ffa040 f2913d c65102 ff5b00 dc6a10",
    "yellow": "ffff14 f5d000 e8c420 ffe66d fff380 d8c010 fffeb6 f6e27a",
    "green": "15b01a 2e7d32 1b4d20 6abf4b 7fb069 9be08a 4f7a28 3a5f0b 5f8a5f 0f3d1f 00a060 c7fdb5 4a5d23 062e03 9dc183",
    "cyan": "00ffff 13c5d0 2fb8b8 7ff0f0 1a9aa5 0ad0d8 0a888a b7fffa acfffc",
    "blue": "0343df 1f4fa0 1b2a6b 2e86de 6fa8dc 95c0f0 4a6fa5 35598f 101a50 0070c0 5a86ad 00035b add8e6 c5ddf5 2b3f66",
    "purple": "7e1e9c 5b2a86 9b59b6 b58ad6 4b1a5a 7a4fa0 c9a0dc 825f87 36013f d8c8ee 916e99",
    "pink": "ff81c0 ff69b4 f7a8c4 ffc0cb e75480 f4b6c2 d9568f cb416b de9dac ffd1df d5869d",
    "brown": "653700 7a4a21 8b5a2b 5c3a1e 4a2c17 9c6b3f 6f4e37 3b2314 a0673a 855e42 57402c 410200 341c02 5a4633 a0522d",
    "white": "ffffff f4f4f4 faf8f4 f0f4f8 ebebeb e6e6e6 eeebe6",
    "black": "000000 141414 1e1e1e 101418 181410 262626 2a2a2a",
    "gray": "929591 808080 606060 a8a8a8 bcbcbc 707880 505254 8a8580 b0b4b8 9a9a94 c4c4c4 464646 c0bdb8 5c5854",
    "beige": "e6daa6 d8c3a5 e8d5b5 cdb891 f0e0c0 d2b48c c8b090 efe4cc f5f5dc d8c8a8 e0c8a0",
}
COLOR_WORDS = tuple(_EXAMPLES)
_STRONG = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
_WIDTH = 0.025  # difference of distances, in stretched Oklab, over which one word gives way to the next
_SHARE = 0.55  # of what is seen that a word must cover
_LEAD = 2.2  # times as much as the next word
_CHROMA = 0.3  # of the strongest colours
_LIGHTNESS = 0.8  # weight of lightness against chroma
_PLACES = 6000  # on a model at which its colour is looked up
_CELLS = 24  # of the grid of a view in which the nearest places hide the others
_VIEWS = ((0.0, -1.0, 0.35), (1.0, -0.4, 0.5), (-1.0, -0.4, 0.5), (0.0, -0.5, 1.0), (0.3, 1.0, 0.5))  # towards the eye
# Oklab: B. Ottosson, "A perceptual color space for image processing", 2020
_TO_CONES = np.array(
    [
        (0.4122214708, 0.5363325363, 0.0514459929),
        (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005),
    ]
)
_TO_LAB = np.array(
    [
        (0.2104542553, 0.7936177850, -0.0040720468),
        (1.9779984951, -2.4285922050, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.8086757660),
    ]
)


def color_word(rgb: np.ndarray, weights: np.ndarray) -> str | None:
    """The word for a patch of colours.

    Each colour votes for the words around it; a word wins if it covers most of the patch and leads clearly. Beside a
    strong colour black and gray parts count half: a red car is red with its tyres and panes.

    Args:
        rgb: (N, 3) float, sRGB in 0..1.
        weights: (N,) float, how much of each is seen.

    Returns:
        One of `COLOR_WORDS`, or None if several compete, the colour lies between two words, or nothing is seen.
    """
    if not len(rgb) or np.sum(weights) <= 0:
        return None
    votes = np.asarray(weights, np.float64) @ _memberships(np.asarray(rgb, np.float64))
    best = int(np.argmax(votes))
    if COLOR_WORDS[best] in _STRONG:
        votes *= [0.5 if word in ("black", "gray") else 1.0 for word in COLOR_WORDS]
    second = np.partition(votes, -2)[-2]
    if votes[best] < _SHARE * votes.sum() or votes[best] < _LEAD * second:
        return None
    return COLOR_WORDS[best]


def seen_colors(
    positions: np.ndarray, faces: np.ndarray, uv: np.ndarray, looks: np.ndarray, textures: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The colours of a model that are seen from around and above.

    Args:
        positions: (V, 3) metres, z up.
        faces: (T, 3) vertices of triangles.
        uv: (V, 2).
        looks: (T, 5) row of the pack's materials of each triangle.
        textures: (L, H, W, 4) uint8, row 0 at v = 0.
        seed: of the places that are looked at.

    Returns:
        rgb (N, 3) float32 sRGB and weights (N,) float32: in how many views each place is seen.
    """
    rng = np.random.default_rng(seed)
    a, b, c = (positions[faces[:, k]].astype(np.float64) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    if area.sum() <= 0:
        return np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
    chosen = rng.choice(len(faces), _PLACES, p=area / area.sum())
    share = rng.dirichlet((1, 1, 1), _PLACES)
    places = (positions[faces[chosen]] * share[..., None]).sum(1)
    rgba = np.ones((_PLACES, 4))
    rgba[:, :3] = looks[chosen, :3]
    layer = looks[chosen, 3].astype(int)
    textured = layer >= 0
    if textured.any():
        height, width = textures.shape[1:3]
        at = (uv[faces[chosen]] * share[..., None]).sum(1)[textured] % 1.0
        column, row = ((at * (width, height)).astype(int) % (width, height)).T
        rgba[textured] = textures[layer[textured], row, column] / 255
    solid = rgba[:, 3] >= 0.5
    return rgba[solid, :3].astype(np.float32), _times_seen(places[solid]).astype(np.float32)


def _times_seen(places: np.ndarray) -> np.ndarray:
    span = max(float(np.ptp(places, axis=0).max()), 1e-9) if len(places) else 1.0
    times = np.zeros(len(places))
    for towards in _VIEWS:
        eye = np.array(towards) / np.linalg.norm(towards)
        right = np.cross((0, 0, 1), eye)
        right /= np.linalg.norm(right)
        flat = places @ np.stack([right, np.cross(eye, right)]).T
        cell = np.floor((flat - flat.min(0, initial=0)) / span * _CELLS).astype(int) @ (1, 4 * _CELLS)
        near = places @ eye
        nearest = np.full(cell.max(initial=0) + 1, -np.inf)
        np.maximum.at(nearest, cell, near)
        times += near > nearest[cell] - 1.5 * span / _CELLS
    return times


def _memberships(rgb: np.ndarray) -> np.ndarray:
    """How far each colour (N, 3) belongs to each word, (N, words), rows add up to 1."""
    examples, word = _examples()
    distance = np.linalg.norm(_stretched(rgb)[:, None] - examples, axis=2)
    nearest = np.stack([distance[:, word == number].min(1) for number in range(len(COLOR_WORDS))], axis=1)
    score = np.exp((nearest.min(1, keepdims=True) - nearest) / _WIDTH)
    return score / score.sum(1, keepdims=True)


def _examples() -> tuple[np.ndarray, np.ndarray]:
    codes = [(code, number) for number, codes in enumerate(_EXAMPLES.values()) for code in codes.split()]
    rgb = np.array([list(bytes.fromhex(code)) for code, _ in codes]) / 255
    return _stretched(rgb), np.array([number for _, number in codes])


def _stretched(rgb: np.ndarray) -> np.ndarray:
    """Oklab with small chroma stretched: near gray a little more of it changes the word, among strong colours not."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab = np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T
    chroma = np.maximum(np.linalg.norm(lab[:, 1:], axis=1, keepdims=True), 1e-6)
    lightness = lab[:, :1]
    # near black nobody sees a small chroma
    stretched = _CHROMA * (chroma / _CHROMA) ** 0.65 * np.clip(lightness / 0.3, 0.3, 1.0)
    return np.concatenate([_LIGHTNESS * lightness, lab[:, 1:] / chroma * stretched], axis=1)
