"""OpenAI's settings: which have a meaning here, which have none, and which nobody can be given."""

from __future__ import annotations

from typing import Any

from perceptio.serving.api.errors import ApiError
from perceptio.serving.api.schemas.chat_request import ChatRequest

_NEUTRAL: dict[str, tuple[Any, ...]] = {  # without effect, but for these values, which ask for nothing else
    "temperature": (0.0,),
    "top_p": (1.0,),
    "frequency_penalty": (0.0,),
    "presence_penalty": (0.0,),
    "seed": (),
    "user": (),
    "safety_identifier": (),
    "metadata": ({},),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "prompt_cache_key": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "reasoning_effort": (),
    "verbosity": (),
    "prediction": (),
    "parallel_tool_calls": (),
}
_POSSIBLE: dict[str, tuple[Any, ...]] = {  # of what would change the kind of the answer, the values that do not
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "web_search_options": (),
    "moderation": (),
}


def ignored_fields(asked: ChatRequest) -> list[str]:
    """The settings of a request that ask for something and have no effect."""
    return [name for name, neutral in _NEUTRAL.items() if not _among(getattr(asked, name), neutral)]


def refuse_impossible(asked: ChatRequest) -> None:
    """Refuse what this server cannot give, or what contradicts itself.

    Raises:
        ApiError: 400.
    """
    for name, possible in _POSSIBLE.items():
        if not _among(getattr(asked, name), possible):
            raise ApiError(400, f"this server cannot do what {name} asks for: leave it out", "unsupported_value", name)
    if asked.stream_options is not None and not asked.stream:
        raise ApiError(400, "stream_options need stream: true", "invalid_value", "stream_options")
    if "" in stops(asked):
        raise ApiError(400, "a stop must not be empty", "invalid_value", "stop")
    if None not in (asked.max_tokens, asked.max_completion_tokens) and asked.max_tokens != asked.max_completion_tokens:
        raise ApiError(
            400, "max_tokens and max_completion_tokens are one limit: give one of them", "invalid_value", "max_tokens"
        )


def token_limit(asked: ChatRequest) -> int | None:
    """The most tokens of the answer, by either name."""
    return asked.max_completion_tokens or asked.max_tokens


def stops(asked: ChatRequest) -> tuple[str, ...]:
    """What ends the text."""
    return (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())


def _among(value: Any, possible: tuple[Any, ...]) -> bool:
    return value is None or any(type(value) is type(each) and value == each for each in possible)
