"""Fixtures of the system tests: a cloud of one's own, or one that a file's tests share."""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from cloud import Cloud  # noqa: E402  (the path comes first)

signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is stopped purges its clouds, too


@pytest.fixture
def cloud():
    """A cloud that is not started yet."""
    with Cloud() as one:
        yield one


@pytest.fixture(scope="module")
def running():
    """A started cloud with the image test:1 (busybox), shared by a file's tests."""
    with Cloud() as one:
        one.up()
        one.image("test:1")
        yield one
