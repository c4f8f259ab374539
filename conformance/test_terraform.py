"""Terraform's AWS provider: apply, empty plan, change, empty plan, destroy.

The provider comes from a file-system mirror; nothing is downloaded. Which
version is tried is whichever the mirror holds.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

import test_iam_server_certificates as certificates
from server import ACCOUNT, Server

MODULE = pathlib.Path(__file__).parent / "terraform"
PROVIDER = "registry.terraform.io/hashicorp/aws"


def mirror():
    """The directory that `TF_PLUGIN_MIRROR` names, or a `tf-plugins` where machines keep such things."""
    places = [os.environ.get("TF_PLUGIN_MIRROR")]
    roots = [pathlib.Path(root) for root in ("/opt", "/usr/local/share", "/usr/share")]
    roots += [pathlib.Path.home(), pathlib.Path.home() / ".terraform.d"]
    places += [root / "tf-plugins" for root in roots]
    for place in filter(None, places):
        if (pathlib.Path(place) / PROVIDER).is_dir():
            return pathlib.Path(place)
    pytest.fail("no mirror of Terraform's AWS provider was found; name one in TF_PLUGIN_MIRROR")


class Terraform:
    def __init__(self, server, directory, module=MODULE):
        self.directory = directory
        shutil.copy(module / "main.tf", directory)
        (directory / "cli.tfrc").write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror()}"\n  }}\n}}\n'
            "disable_checkpoint = true\n"
        )
        self.environment = server.environment()
        del self.environment["AWS_ENDPOINT_URL"]  # the module's own `endpoints` must do
        self.environment.update(
            TF_CLI_CONFIG_FILE=str(directory / "cli.tfrc"),
            TF_IN_AUTOMATION="1",
            TF_INPUT="0",
            TF_VAR_endpoint=server.url,
        )
        self.run("init")

    def run(self, command, *flags, expect=0):
        done = subprocess.run(
            ["terraform", command, "-no-color", *flags],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == expect, done.stdout[-6000:] + done.stderr[-6000:]
        return done.stdout

    def apply(self, generation):
        self.run("apply", "-auto-approve", "-parallelism=30", f"-var=generation={generation}")

    def assert_plan_is_empty(self, generation):
        # 0 means that nothing differs, 2 that something does.
        self.run("plan", "-detailed-exitcode", f"-var=generation={generation}")

    def outputs(self):
        return {name: output["value"] for name, output in json.loads(self.run("output", "-json")).items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("terraform-server"))
    yield server
    assert server.metric("palisade_panics_total") == 0
    server.stop()


def test_apply_plan_change_plan_destroy(server, tmp_path):
    terraform = Terraform(server, tmp_path)
    kms, iam = server.client("kms"), server.client("iam")
    key, form = certificates.KEYS["rsa, pkcs1"]
    (tmp_path / "key.pem").write_text(certificates.private(key, form))
    (tmp_path / "certificate.pem").write_text(certificates.server(key))
    (tmp_path / "chain.pem").write_text(certificates.BETWEEN + certificates.ROOT)

    terraform.apply(1)
    terraform.assert_plan_is_empty(1)
    outputs = terraform.outputs()
    assert outputs["account"] == ACCOUNT
    assert outputs["alias_target"] == outputs["symmetric"]
    assert outputs["public_key"].startswith("-----BEGIN PUBLIC KEY-----")
    tags = {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=outputs["symmetric"])["Tags"]}
    assert tags == {"Team": "red", "Old": "tag", "ManagedBy": "terraform"}

    terraform.apply(2)
    terraform.assert_plan_is_empty(2)
    changed = kms.describe_key(KeyId=outputs["symmetric"])["KeyMetadata"]
    assert (changed["KeyState"], changed["Description"]) == ("Disabled", "changed")
    assert iam.get_role(RoleName="app")["Role"]["MaxSessionDuration"] == 7200

    [provider] = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])
    assert sorted(provider["ClientIDList"]) == ["deploy", "sts.amazonaws.com"]
    assert provider["ThumbprintList"] == ["2" * 40]
    [provider] = iam.list_saml_providers()["SAMLProviderList"]
    provider = iam.get_saml_provider(SAMLProviderArn=provider["Arn"])
    assert "https://idp.example.com/later" in provider["SAMLMetadataDocument"]
    assert {"Key": "Team", "Value": "blue"} in provider["Tags"]

    [certificate] = iam.list_server_certificates()["ServerCertificateMetadataList"]
    assert (certificate["ServerCertificateName"], certificate["Path"]) == ("shop", "/cdn/")
    tags = iam.list_server_certificate_tags(ServerCertificateName="shop")["Tags"]
    assert {"Key": "Team", "Value": "blue"} in tags
    [credential] = iam.list_service_specific_credentials(AllUsers=True)["ServiceSpecificCredentials"]
    assert credential["Status"] == "Inactive"

    terraform.run("destroy", "-auto-approve", "-parallelism=30", "-var=generation=2")
    assert iam.list_users()["Users"] == iam.list_groups()["Groups"] == iam.list_roles()["Roles"] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    assert iam.list_saml_providers()["SAMLProviderList"] == []
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == []
    assert not [alias for alias in kms.list_aliases()["Aliases"] if "TargetKeyId" in alias]
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    # The primary of a replica waits for that first.
    assert {key["KeyState"] for key in keys} == {"PendingDeletion", "PendingReplicaDeletion"}
