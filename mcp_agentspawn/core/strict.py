"""The models that an operator's files are read into."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Frozen; unknown keys and values of another kind are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
