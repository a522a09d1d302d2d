"""What every table of the configuration is, and the types that several of them use."""

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr, SerializationInfo, model_validator

from priceverse.model.pair import PAIR


def _reveal(secret: SecretStr, info: SerializationInfo) -> str:
    """Show a secret only to a child process (`context={"secrets": True}`), mask it everywhere else."""
    return secret.get_secret_value() if info.context and info.context.get("secrets") else "********"


Secret = Annotated[SecretStr, PlainSerializer(_reveal, return_type=str)]
Port = Annotated[int, Field(ge=0, le=65535)]
Place = Annotated[str, Field(pattern=r"^\S+:\d{1,5}$")]
PairName = Annotated[str, Field(pattern=f"^{PAIR.pattern}$")]


class Section(BaseModel):
    """A table of the configuration: unknown keys are refused, values never change in place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, data: object) -> object:
        """Read `key = ""` as "not set" where a key has no default: TOML and the environment know no null."""
        if not isinstance(data, dict):
            return data
        unset = {name for name, field in cls.model_fields.items() if field.default is None and data.get(name) == ""}
        return {key: None if key in unset else value for key, value in data.items()}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Say why a key is not there: a child has only its part of the tree."""
            if name in type(self).model_fields:
                raise AttributeError(f"{type(self).__name__}.{name} is not given to this child: see config/grants.py")
            return super().__getattr__(name)
