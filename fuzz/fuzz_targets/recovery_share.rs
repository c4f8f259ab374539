//! Recovery shares as people type them.

#![no_main]

use crypto::slot::RecoveryShare;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(share) = RecoveryShare::read(text, 1) {
        let written = share.to_text();
        let again = RecoveryShare::read(written.expose(), 1).expect("what was written can be read");
        assert!(again.to_text().expose() == written.expose());
        assert_eq!(
            (share.set(), share.number(), share.threshold()),
            (again.set(), again.number(), again.threshold())
        );
    }
});
