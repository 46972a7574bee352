"""The weight of every loss, and the losses of the token sequence and soft merging, each a pure function.

Shapes: B sequences, T positions, V vocabulary, K codes, N codes in one span, D code width, S side of a depth map.
Sources: the paper names marker, token and count losses and soft merging; these formulas are ours (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SOFT_TEMPERATURE = 1.25  # AiT (2301.02229) multiplies the logits by 0.8


@dataclass(frozen=True)
class LossWeights:
    """Weight of each loss of the paper and its parents; 0 switches it off."""

    text: float = 1.0  # cross-entropy of [SEG], words and the end token
    bce: float = 2.0  # mask, sampled points
    dice: float = 0.5  # mask, sampled points
    score: float = 0.05  # SAM2's own estimate of the mask's IoU (SAM 2, 2408.00714)
    object: float = 0.05  # SAM2's object score (likewise)
    marker: float = 1.0  # <DEPTH_START> and <DEPTH_END> where due, not inside
    token: float = 1.0  # depth codes
    count: float = 0.1  # expected number of codes
    reconstruction: float = 1.0  # soft-merged depth map


def text_loss(logits_PV: Tensor, targets_P: Tensor, weights_P: Tensor) -> Tensor:
    """Weighted mean cross-entropy of answer tokens.

    Args:
        logits_PV: (P, V) logits at the P positions that predict an answer token.
        targets_P: (P,) int64 token ids.
        weights_P: (P,) float, not negative; the weight of each token.

    Returns:
        () float32; 0 (with a gradient path) if all weights are 0.
    """
    losses_P = F.cross_entropy(logits_PV.float(), targets_P, reduction="none")
    return (losses_P * weights_P).sum() / weights_P.sum().clamp_min(1e-8)


def marker_loss(
    logits_PV: Tensor,
    targets_P: Tensor,
    marker_ids: Tensor,
    inside_P: Tensor,
    shares: tuple[Tensor | float, Tensor | float] = (1.0, 1.0),
) -> Tensor:
    """Emit the markers where they are due, and never inside the span.

    Cross-entropy at the positions whose target is START or END, plus the mean of -log(1 - p(marker)) over the
    positions that must emit a code.

    Args:
        logits_PV: (P, V) logits.
        targets_P: (P,) int64 token ids.
        marker_ids: (2,) int64 ids of START and END.
        inside_P: (P,) bool, true where a code is due.
        shares: factors of the two means, where the positions are a part of those of an optimiser step.

    Returns:
        () float32, 0 where there is no span.
    """
    log_probabilities_PV = logits_PV.float().log_softmax(-1)
    due_P = torch.isin(targets_P, marker_ids)
    due = -log_probabilities_PV.gather(1, targets_P[:, None]).squeeze(1)
    marker_P = log_probabilities_PV[:, marker_ids].logsumexp(-1).exp()
    avoided_P = -torch.log1p(-marker_P.clamp(max=1 - 1e-6))
    return _masked_mean(due, due_P) * shares[0] + _masked_mean(avoided_P, inside_P) * shares[1]


def token_loss(logits_PV: Tensor, targets_P: Tensor, inside_P: Tensor) -> Tensor:
    """Cross-entropy at the code positions: () float32, 0 where there is no span. Shapes as in `marker_loss`."""
    return _masked_mean(F.cross_entropy(logits_PV.float(), targets_P, reduction="none"), inside_P)


def count_loss(logits_PV: Tensor, code_ids: Tensor, answer_P: Tensor, due_A: Tensor, tokens_per_map: int) -> Tensor:
    """Squared relative error of the expected number of depth codes, averaged over answers.

    n = sum over an answer's positions of the probability mass on the codes; ((n - N) / N)^2 where a span is due,
    (n / N)^2 where none is.

    Args:
        logits_PV: (P, V) logits.
        code_ids: (K,) int64 token ids of the codes.
        answer_P: (P,) int64 index of the answer that owns each position, 0 <= index < A.
        due_A: (A,) bool, true where the answer holds a span.
        tokens_per_map: N.
    """
    logits_PV = logits_PV.float()
    mass_P = (logits_PV[:, code_ids].logsumexp(-1) - logits_PV.logsumexp(-1)).exp()
    expected_A = torch.zeros(len(due_A), dtype=mass_P.dtype, device=mass_P.device).index_add(0, answer_P, mass_P)
    return ((expected_A / tokens_per_map - due_A.to(expected_A.dtype)) ** 2).mean()


def soft_merge(code_logits: Tensor, codebook_KD: Tensor, temperature: float) -> Tensor:
    """Probability-weighted codebook vectors (AiT, 2301.02229, soft tokens).

    Args:
        code_logits: (..., K) logits over the codes alone.
        codebook_KD: (K, D) frozen codebook.
        temperature: T > 0; T -> 0 is hard decoding.

    Returns:
        (..., D) float32.

    Raises:
        ValueError: if the temperature is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"the soft-merging temperature must be positive, not {temperature}")
    return (code_logits.float() / temperature).softmax(-1) @ codebook_KD.float()


def reconstruction_loss(
    code_logits_BNK: Tensor,
    codebook_KD: Tensor,
    decode_vectors: Callable[[Tensor], Tensor],
    maps_B1SS: Tensor,
    temperature: float = SOFT_TEMPERATURE,
) -> Tensor:
    """Mean squared error of the soft-merged, decoded depth map on the normalised scale.

    Args:
        code_logits_BNK: (B, N, K) logits over the codes at the N positions of each span.
        codebook_KD: (K, D) frozen codebook.
        decode_vectors: frozen decoder (B, N, D) -> (B, 1, S, S).
        maps_B1SS: (B, 1, S, S) teacher's maps in [-1, 1].
        temperature: soft-merging temperature.

    Returns:
        () float32, 0 where B = 0.
    """
    if not len(code_logits_BNK):
        return code_logits_BNK.sum() * 0.0
    merged_BND = soft_merge(code_logits_BNK, codebook_KD, temperature)
    return F.mse_loss(decode_vectors(merged_BND).float(), maps_B1SS.float())


def _masked_mean(values_P: Tensor, mask_P: Tensor) -> Tensor:
    # where, not multiplication: an infinite value outside the mask must not make the mean NaN
    selected_P = torch.where(mask_P, values_P, values_P.new_zeros(()))
    return selected_P.sum() / mask_P.sum().clamp_min(1)
