use super::*;

#[test]
fn h10_4_values_are_read_with_the_same_secret_and_for_the_same_place_only() {
    let vault = Vault::new(&[1; SECRET_BYTES]);
    for value in ["", "hunter2", "ü\n"] {
        let sealed = vault.seal("acme/paint/KEY", value).unwrap();
        assert_eq!(vault.open("acme/paint/KEY", &sealed).as_deref(), Ok(value));
        assert_eq!(vault.open("acme/paint/OTHER", &sealed), Err(VaultError::Unreadable));
        assert_eq!(Vault::new(&[2; SECRET_BYTES]).open("acme/paint/KEY", &sealed), Err(VaultError::Unreadable));
        assert_ne!(vault.seal("acme/paint/KEY", value).unwrap(), sealed, "a nonce is used once");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(vault.open("acme/paint/KEY", &changed), Err(VaultError::Unreadable));
            assert_eq!(vault.open("acme/paint/KEY", &sealed[..at]), Err(VaultError::Unreadable));
        }
    }
}
