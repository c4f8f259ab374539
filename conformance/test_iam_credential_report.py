"""Credential reports: every user, and the state of its credentials."""

import csv
import io
import time

from policies import allow
from refusals import refused
from server import ACCOUNT
from test_iam_signing_certificates import certificate

HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,"
    "mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,"
    "access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,"
    "access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)


def report(iam):
    """Asks until there is a report, as tools do."""
    deadline = time.monotonic() + 120
    while iam.generate_credential_report()["State"] != "COMPLETE":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return iam.get_credential_report()


def lines(told):
    text = told["Content"].decode()
    assert text.splitlines()[0] == HEADER
    return {line["user"]: line for line in csv.DictReader(io.StringIO(text))}


def test_a_report_tells_of_everybody(timed):
    iam = timed.client("iam")
    with refused("ReportNotPresent", status=410):
        iam.get_credential_report()
    iam.create_user(UserName="full", Path="/staff/")
    iam.create_user(UserName="empty,")
    iam.create_login_profile(UserName="full", Password="Conformance-1")
    iam.update_account_password_policy(MaxPasswordAge=90)
    used = iam.create_access_key(UserName="full")["AccessKey"]
    iam.upload_signing_certificate(UserName="full", CertificateBody=certificate())
    timed.advance(60)
    unused = iam.create_access_key(UserName="full")["AccessKey"]
    iam.update_access_key(UserName="full", AccessKeyId=unused["AccessKeyId"], Status="Inactive")
    timed.client("sts", used, region="eu-west-1").get_caller_identity()
    started = iam.generate_credential_report()
    assert started["State"] in ("STARTED", "INPROGRESS")
    assert started["Description"] == "No report exists. Starting a new report generation task"
    told = report(iam)
    assert told["ReportFormat"] == "text/csv"
    by_user = lines(told)
    assert set(by_user) == {"<root_account>", "full", "empty,"}

    root = by_user["<root_account>"]
    assert root["arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert root["password_enabled"] == "not_supported" and root["access_key_1_active"] == "true"
    assert root["access_key_1_last_used_service"] == "iam"

    full = by_user["full"]
    assert full["arn"] == f"arn:aws:iam::{ACCOUNT}:user/staff/full"
    assert (full["password_enabled"], full["password_last_used"]) == ("true", "no_information")
    assert full["password_last_changed"].endswith("+00:00") and full["password_next_rotation"].endswith("+00:00")
    assert (full["access_key_1_active"], full["access_key_1_last_used_region"]) == ("true", "eu-west-1")
    assert full["access_key_1_last_used_service"] == "sts"
    assert (full["access_key_2_active"], full["access_key_2_last_used_date"]) == ("false", "N/A")
    assert (full["mfa_active"], full["cert_2_active"], full["cert_2_last_rotated"]) == ("false", "false", "N/A")
    assert full["cert_1_active"] == "true" and full["cert_1_last_rotated"].endswith("+00:00")

    empty = by_user["empty,"]
    assert (empty["password_enabled"], empty["password_last_changed"]) == ("false", "N/A")
    assert (empty["access_key_1_active"], empty["access_key_1_last_rotated"]) == ("false", "N/A")


def test_a_report_serves_four_hours(timed):
    iam = timed.client("iam")
    first = report(iam)
    iam.create_user(UserName="later")
    timed.advance(4 * 60 * 60 - 60)
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    again = iam.get_credential_report()
    assert again["GeneratedTime"] == first["GeneratedTime"] and "later" not in lines(again)
    timed.advance(120)
    with refused("ReportExpired", status=410):
        iam.get_credential_report()
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert "later" in lines(report(iam))


def test_a_report_is_of_the_callers_account_and_for_those_who_may(palisade, new_user):
    person = new_user()
    with refused("AccessDenied", "iam:GenerateCredentialReport"):
        person.client("iam").generate_credential_report()
    person.may(allow("iam:GenerateCredentialReport"))
    iam = person.client("iam")
    iam.generate_credential_report()
    with refused("AccessDenied", "iam:GetCredentialReport"):
        iam.get_credential_report()
    assert person.name not in lines(report(palisade.other_client("iam")))
