"""What the configurations of the teachers' vision transformers may hold."""

from __future__ import annotations

from perceptio.pretrained.fields import (
    ACTIVATION,
    EPSILON,
    FLAG,
    HEADS,
    LAYERS,
    SHARE,
    SPREAD,
    TEXT,
    WIDTH,
    Fields,
    choice,
    number,
    optional,
    several,
    square,
    whole,
)

PATCH = square(whole(1, 256))
MOST_STAGES = 16

_TRANSFORMER: Fields = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "hidden_act": ACTIVATION,
    "hidden_dropout_prob": SHARE,
    "attention_probs_dropout_prob": SHARE,
    "initializer_range": SPREAD,
    "layer_norm_eps": EPSILON,
    "image_size": square(whole(1, 8192)),
    "patch_size": PATCH,
    "num_channels": choice(3),
    "drop_path_rate": SHARE,
    "use_mask_token": FLAG,
    "out_features": optional(several(TEXT, 1, MOST_STAGES)),
    "out_indices": optional(several(whole(0, 1000), 1, MOST_STAGES)),
}
_TOKENS: Fields = {"reshape_hidden_states": choice(False)}  # a neck wants the tokens as they are
DINOV2: Fields = {
    **_TRANSFORMER,
    "mlp_ratio": number(0.01, 100),
    "qkv_bias": FLAG,
    "layerscale_value": number(-1000, 1000),
    "use_swiglu_ffn": FLAG,
    "apply_layernorm": FLAG,
}
DINOV2_BACKBONE: Fields = {**DINOV2, **_TOKENS}
BEIT_BACKBONE: Fields = {
    **_TRANSFORMER,
    **_TOKENS,
    "intermediate_size": WIDTH,
    "use_absolute_position_embeddings": FLAG,
    "use_relative_position_bias": FLAG,
    "use_shared_relative_position_bias": FLAG,
    "layer_scale_init_value": number(-1000, 1000),
    "use_mean_pooling": FLAG,
    "add_fpn": choice(False),
}
