"""The depth tokenizer: a map of relative inverse depth <-> a grid of codes.

Legend: B maps, S side, g grid side, N = g * g codes, K codebook size, D code width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.depth.vqvae import Decoder, Encoder


class DepthTokenizer(PreTrainedModel):
    """VQ-VAE over normalised relative inverse depth (AURORA, 2412.03548), EMA codebook."""

    config_class = DepthTokenizerConfig
    config: DepthTokenizerConfig
    base_model_prefix = ""
    main_input_name = "maps"

    def __init__(self, config: DepthTokenizerConfig) -> None:
        super().__init__(config)
        from vector_quantize_pytorch import VectorQuantize

        self.encoder = Encoder(config)
        self.quantizer = VectorQuantize(
            dim=config.code_dim,
            codebook_size=config.codes,
            decay=config.decay,
            commitment_weight=config.commitment,
            kmeans_init=True,
            kmeans_iters=10,
            threshold_ema_dead_code=config.dead_code_threshold,
        )
        self.decoder = Decoder(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """torch's default initialisation serves convolutions well."""

    @property
    def codebook(self) -> Tensor:
        """(K, D) codebook vectors."""
        return self.quantizer.codebook

    def forward(self, maps: Tensor, **_: Any) -> dict[str, Any]:
        """Train step on (B, 1, S, S) float maps in [-1, 1].

        Returns:
            `loss` (), `losses` (reconstruction and commitment apart, and the codes' perplexity), `reconstruction`
            (B, 1, S, S), `codes` (B, N).
        """
        latents_BND = self.encoder(maps).flatten(2).transpose(1, 2).float()
        quantized_BND, codes_BN, commitment = self.quantizer(latents_BND)
        reconstruction = self.decode_vectors(quantized_BND)
        error = F.mse_loss(reconstruction.float(), maps.float())
        commitment = commitment.sum()
        return {
            "loss": error + commitment,
            "losses": {
                "reconstruction": error.detach(),
                "commitment": commitment.detach(),
                "perplexity": self._perplexity(codes_BN),
            },
            "reconstruction": reconstruction,
            "codes": codes_BN,
        }

    def _perplexity(self, codes: Tensor) -> Tensor:
        """() exp of the entropy of the codes (B, N): K if all are used alike."""
        counts_K = torch.zeros(self.config.codes, device=codes.device)
        counts_K.scatter_add_(0, codes.flatten(), torch.ones(codes.numel(), device=codes.device))
        return torch.special.entr(counts_K / codes.numel()).sum().exp()

    @torch.no_grad()
    def encode(self, maps: Tensor) -> Tensor:
        """(B, 1, S, S) float maps in [-1, 1] -> (B, N) int64 codes in raster order.

        Raises:
            ValueError: if the maps have another shape.
        """
        size = self.config.image_size
        if maps.shape[1:] != (1, size, size):
            raise ValueError(f"depth maps must have the shape (B, 1, {size}, {size}), not {tuple(maps.shape)}")
        latents_BND = self.encoder(maps.to(self.dtype)).flatten(2).transpose(1, 2).float()
        codebook_KD = self.codebook.float()
        # float32 distances: in bfloat16, neighbouring codes tie
        return torch.cdist(latents_BND, codebook_KD.expand(len(latents_BND), -1, -1)).argmin(-1)

    def decode(self, codes: Tensor) -> Tensor:
        """(B, N) int64 codes -> (B, 1, S, S) maps, about [-1, 1]."""
        return self.decode_vectors(self.codebook[codes])

    def decode_vectors(self, vectors: Tensor) -> Tensor:
        """(B, N, D) code vectors, merged ones too -> (B, 1, S, S); differentiable in the vectors."""
        grid = self.config.grid
        latents = vectors.to(self.dtype).transpose(1, 2).unflatten(2, (grid, grid))
        return self.decoder(latents)
