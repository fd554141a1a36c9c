"""What open images and layers have in common: they are context managers."""

from types import TracebackType
from typing import Self


class Handle:
    """Closes at the end of a `with` block, also when an exception leaves it."""

    __slots__ = ()

    def close(self) -> None:
        """Close; twice is harmless."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
