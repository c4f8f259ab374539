//! Whatever a request says of who signed it.

#![no_main]

use ground::Secret;
use libfuzzer_sys::fuzz_target;
use palisade_fuzz::TextRequest;
use palisade_fuzz::fixed::{NOW, secret};
use wire::sigv4::{Claim, Manner, PayloadHash, SignatureFault, SigningKey};

fuzz_target!(|data: &[u8]| {
    let Some(request) = TextRequest::read(data) else {
        return;
    };
    let parts = request.parts();
    let claim = match Claim::parse(&parts) {
        Ok(claim) => claim,
        Err(fault) => return tell(&fault),
    };
    if let Err(fault) = claim.check_time(NOW) {
        tell(&fault);
    }
    if let Err(fault) = claim.check_scope("us-east-1", "kms") {
        tell(&fault);
    }
    let digest = crypto::sha256(&[request.body]);
    let another = Secret::new("another secret".to_owned());
    for payload in [PayloadHash::Body(&digest), PayloadHash::Declared] {
        let key = SigningKey::derive(claim.access_key_id(), &secret(), claim.scope());
        if let Err(fault) = claim.verify(&key, &parts, payload) {
            tell(&fault);
        }
        let key = SigningKey::derive(claim.access_key_id(), &another, claim.scope());
        assert!(
            claim.verify(&key, &parts, payload).is_err(),
            "verified with the wrong secret"
        );
    }
    if let Err(fault) = claim.payload(&parts) {
        tell(&fault);
    }
    let owned = claim.into_owned();
    assert!(
        owned
            .verify(
                &SigningKey::derive("", &another, owned.scope()),
                &parts,
                PayloadHash::Body(&digest)
            )
            .is_err()
    );
});

/// Every fault can be told in every manner.
fn tell(fault: &SignatureFault) {
    for manner in [
        Manner::Ec2,
        Manner::Json,
        Manner::Query,
        Manner::RestJson,
        Manner::S3,
    ] {
        let (status, code, _) = fault.code_and_message(manner, NOW);
        assert!((400..500).contains(&status), "{status}");
        assert!(!code.is_empty());
    }
    std::hint::black_box(fault.s3_details(NOW));
}
