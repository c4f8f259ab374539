"""Terraform's `aws_kms_custom_key_store` and a key in the store."""

import json
import pathlib

from refusals import refused
from server import Server
from test_custom_key_stores import connect, disconnect
from test_terraform import Terraform
from xks_proxy import ACCESS_KEY, SECRET, XksProxy

STORES = pathlib.Path(__file__).parent / "terraform-key-stores"
KEYS = pathlib.Path(__file__).parent / "terraform-key-stores" / "key"


def test_a_store_and_a_key_in_it(tmp_path):
    proxy = XksProxy(tmp_path / "xks")
    settings = tmp_path / "key-stores.toml"
    settings.write_text(proxy.settings())
    server = Server(tmp_path / "server", "--key-stores", str(settings))
    kms = server.client("kms")

    def variables(terraform):
        terraform.environment.update(TF_VAR_access_key=ACCESS_KEY, TF_VAR_secret=SECRET)
        return terraform

    (tmp_path / "store").mkdir()
    terraform = variables(Terraform(server, tmp_path / "store", STORES))
    terraform.apply(1)
    terraform.assert_plan_is_empty(1)
    terraform.apply(2)
    terraform.assert_plan_is_empty(2)
    terraform.run("destroy", "-auto-approve", "-var=generation=2")
    assert kms.describe_custom_key_stores()["CustomKeyStores"] == []
    terraform.apply(2)
    outputs = terraform.outputs()
    assert outputs["name"] == "ours-2"

    # Terraform makes stores and does not connect them.
    assert connect(kms, outputs["store"])["ConnectionState"] == "CONNECTED"
    (tmp_path / "key").mkdir()
    keys = variables(Terraform(server, tmp_path / "key", KEYS))
    keys.environment.update(TF_VAR_store=outputs["store"], TF_VAR_external_key=proxy.add_key("terraform"))
    keys.apply(1)
    keys.assert_plan_is_empty(1)
    keys.apply(2)
    keys.assert_plan_is_empty(2)
    key = keys.outputs()["key"]
    metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert metadata["Origin"] == "EXTERNAL_KEY_STORE" and metadata["Description"] == "generation 2"
    sealed = kms.encrypt(KeyId=key, Plaintext=b"hello")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"hello"
    keys.run("destroy", "-auto-approve", "-var=generation=2")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"

    # The key waits a week for its deletion, and the store for the key.
    disconnect(kms, outputs["store"])
    with refused("CustomKeyStoreHasCMKsException"):
        kms.delete_custom_key_store(CustomKeyStoreId=outputs["store"])
    assert SECRET not in json.dumps(terraform.outputs())
    assert server.metric("palisade_panics_total") == 0
    server.stop()
    proxy.stop()
