"""The base of the REST API's models, from which FastAPI derives the OpenAPI description."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """The base of the models: frozen, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
