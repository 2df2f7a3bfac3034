use super::*;

fn all(addresses: &str) -> Vec<IpAddr> {
    addresses.split_whitespace().map(|address| address.parse().expect("an address")).collect()
}

#[test]
fn h14_1_addresses_that_are_not_of_the_public_internet_are_told() {
    let private =
        all("0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 \
         172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.0.1 198.51.100.1 203.0.113.1 \
         224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
         :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::a00:1 64:ff9b:1::1 100::1 2001::1 2001:db8::1 \
         2002:7f00:1::1 2002:a9fe:a9fe::1 3fff::1 4000::1 fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1");
    for address in private {
        assert!(!is_public(address), "{address}");
        assert!(AddressRule::Any.allows(address) && !AddressRule::Public.allows(address));
    }
    let public = all(
        "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 198.17.0.1 198.20.0.1 \
         223.255.255.255 2606:4700::1111 2a00:1450::1 2001:4860:4860::8888 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1",
    );
    for address in public {
        assert!(is_public(address), "{address}");
    }
}
