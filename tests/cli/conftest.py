"""The command line, called in this process."""

from collections.abc import Callable

import pytest

from compress.cli import main


@pytest.fixture
def run() -> Callable[..., int]:
    """Calls `compress` with words of any type and returns its exit code."""

    def call(*words: object) -> int:
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in words])
        code = stopped.value.code
        assert isinstance(code, int)
        return code

    return call
