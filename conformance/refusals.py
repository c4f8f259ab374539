"""Expecting a refusal, with its code, words and status."""

import contextlib
import re

import pytest
from botocore.exceptions import ClientError


class Refusal:
    """What the server said; filled in once the block is left."""

    code = message = status = request_id = None
    response = {}


@contextlib.contextmanager
def refused(code, message=None, status=None):
    """The block must fail with `code`; `message` is a pattern to be found in the text.

    Several codes may be given where no source tells which of them AWS uses.
    """
    codes = (code,) if isinstance(code, str) else code
    told = Refusal()
    with pytest.raises(ClientError) as caught:
        yield told
    told.response = caught.value.response
    told.code = told.response["Error"]["Code"]
    told.message = told.response["Error"].get("Message", "")
    told.status = told.response["ResponseMetadata"]["HTTPStatusCode"]
    told.request_id = told.response["ResponseMetadata"].get("RequestId")
    assert told.code in codes, f"{told.code}: {told.message}"
    if message is not None:
        assert re.search(message, told.message), f"{told.message!r} lacks {message!r}"
    if status is not None:
        assert told.status == status
