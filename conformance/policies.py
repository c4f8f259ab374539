"""Writing policies briefly."""

import json


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, resource="*", **more):
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def principal(arn, action, effect="Allow", **more):
    """A statement of a key policy."""
    return {"Effect": effect, "Principal": {"AWS": arn}, "Action": action, "Resource": "*", **more}


def delegating(account):
    """The statement that lets the account's own policies count for a key."""
    return principal(f"arn:aws:iam::{account}:root", "kms:*")


def trusting(arn, **more):
    """A statement of a trust policy."""
    return {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole", **more}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
