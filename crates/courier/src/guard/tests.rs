//! The guard's table: each line is a URL, and what becomes of it before anything is looked up.

use super::*;

fn nobody() -> Allow {
    Allow::default()
}

fn verdict(url: &str) -> &'static str {
    match check_url(url, &nobody(), &[]) {
        Ok(_) => "ok",
        Err(refusal) => refusal.label(),
    }
}

/// (URL, verdict). The forms that browsers and C libraries read as an address are all here: they must not differ from it.
const URLS: &[(&str, &str)] = &[
    ("https://example.com/a?b=c", "ok"),
    ("http://example.com", "ok"),
    ("http://example.com:8080/x", "ok"),
    ("https://93.184.216.34/", "ok"),
    ("https://[2606:2800:220:1:248:1893:25c8:1946]/", "ok"),
    ("https://EXAMPLE.com./", "ok"),
    ("https://bücher.example/", "ok"),
    // Not HTTP.
    ("ftp://example.com/", "scheme"),
    ("file:///etc/passwd", "scheme"),
    ("gopher://127.0.0.1:6379/_INFO", "scheme"),
    ("data:text/plain,x", "scheme"),
    ("javascript:alert(1)", "scheme"),
    ("unix:/run/x.sock", "scheme"),
    ("dict://127.0.0.1:11211/", "scheme"),
    ("", "malformed_url"),
    ("http://", "malformed_url"),
    ("http:///", "malformed_url"),
    ("//example.com/", "malformed_url"),
    ("/only/a/path", "malformed_url"),
    ("http://exa mple.com/", "malformed_url"),
    ("http://example.com:99999/", "malformed_url"),
    ("http://[::1", "malformed_url"),
    ("http://256.256.256.256/", "malformed_url"),
    ("http://1.2.3.4.5/", "malformed_url"),
    ("http://a.b.c.999999999999/", "malformed_url"),
    // User information, also where a careless reader sees another host.
    ("http://user@example.com/", "user_information"),
    ("http://user:pass@example.com/", "user_information"),
    ("http://:pass@example.com/", "user_information"),
    ("https://example.com@127.0.0.1/", "user_information"),
    ("http://example.com%40@169.254.169.254/", "user_information"),
    ("http://example.com\\@169.254.169.254/", "ok"), // host example.com, path /@169...: a backslash is a slash
    ("http://127.0.0.1\\@example.com/", "address_loopback"),
    // Ports of other protocols.
    ("http://example.com:25/", "port"),
    ("http://example.com:22/", "port"),
    ("http://example.com:587/", "port"),
    ("http://example.com:6379/", "port"),
    ("http://example.com:11211/", "port"),
    ("http://example.com:5060/", "port"),
    ("http://example.com:0/", "port"),
    ("http://example.com:5432/", "port"),
    // Loopback in every spelling.
    ("http://127.0.0.1/", "address_loopback"),
    ("http://127.1/", "address_loopback"),
    ("http://127.0.1/", "address_loopback"),
    ("http://127.255.255.254:4000/", "address_loopback"),
    ("http://2130706433/", "address_loopback"),
    ("http://0x7f000001/", "address_loopback"),
    ("http://0x7f.1/", "address_loopback"),
    ("http://0177.0.0.1/", "address_loopback"),
    ("http://017700000001/", "address_loopback"),
    ("http://0x7f.0x0.0x0.0x1/", "address_loopback"),
    ("http://0177.0.0x1/", "address_loopback"),
    ("http://127.0.0.1./", "address_loopback"),
    ("http://%31%32%37.0.0.1/", "address_loopback"),
    ("http://127%2e0%2e0%2e1/", "address_loopback"),
    ("http://１２７.0.0.1/", "address_loopback"),
    ("http://127。0。0。1/", "address_loopback"),
    ("http://①②⑦.0.0.1/", "address_loopback"),
    ("http://localhost/", "address_loopback"),
    ("http://LOCALHOST:4000/", "address_loopback"),
    ("http://localhost./", "address_loopback"),
    ("http://api.localhost/", "address_loopback"),
    ("http://ⓛocalhost/", "address_loopback"),
    ("http://[::1]/", "address_loopback"),
    ("http://[0:0:0:0:0:0:0:1]/", "address_loopback"),
    ("http://[::ffff:127.0.0.1]/", "address_loopback"),
    ("http://[::ffff:7f00:1]/", "address_loopback"),
    ("http://[64:ff9b::7f00:1]/", "address_loopback"),
    // Nothing at all.
    ("http://0/", "address_unspecified"),
    ("http://0.0.0.0:8080/", "address_unspecified"),
    ("http://0.1.2.3/", "address_unspecified"),
    ("http://[::]/", "address_unspecified"),
    ("http://[::ffff:0.0.0.0]/", "address_unspecified"),
    // Private networks.
    ("http://10.0.0.1/", "address_private"),
    ("http://10.255.255.255/", "address_private"),
    ("http://167772161/", "address_private"),
    ("http://172.16.0.1/", "address_private"),
    ("http://172.31.255.255/", "address_private"),
    ("http://172.15.255.255/", "ok"),
    ("http://172.32.0.0/", "ok"),
    ("http://192.168.1.1/", "address_private"),
    ("http://192.169.0.1/", "ok"),
    ("http://[::ffff:10.0.0.1]/", "address_private"),
    ("http://[::ffff:c0a8:101]/", "address_private"),
    ("http://[64:ff9b::10.0.0.1]/", "address_private"),
    ("http://[fc00::1]/", "address_private"),
    ("http://[fd12:3456::1]/", "address_private"),
    ("http://[fec0::1]/", "address_private"),
    // Link-local and credentials of clouds.
    ("http://169.254.1.1/", "address_link_local"),
    ("http://[fe80::1]/", "address_link_local"),
    ("http://[febf::1]/", "address_link_local"),
    (
        "http://169.254.169.254/latest/meta-data/",
        "address_metadata",
    ),
    ("http://2852039166/", "address_metadata"),
    ("http://0xa9fea9fe/", "address_metadata"),
    ("http://0251.0376.0251.0376/", "address_metadata"),
    ("http://169.254.43518/", "address_metadata"),
    ("http://[::ffff:169.254.169.254]/", "address_metadata"),
    ("http://[::ffff:a9fe:a9fe]/", "address_metadata"),
    ("http://[64:ff9b::a9fe:a9fe]/", "address_metadata"),
    ("http://169.254.170.2/v2/credentials", "address_metadata"),
    ("http://[fd00:ec2::254]/", "address_metadata"),
    ("http://[fd20:ce::254]/", "address_metadata"),
    ("http://168.63.129.16/", "address_metadata"),
    ("http://100.100.100.200/", "address_metadata"),
    // Inside operators, documents, measurements.
    ("http://100.64.0.1/", "address_shared"),
    ("http://100.127.255.255/", "address_shared"),
    ("http://100.128.0.1/", "ok"),
    ("http://100.63.255.255/", "ok"),
    ("http://192.0.2.1/", "address_documentation"),
    ("http://198.51.100.7/", "address_documentation"),
    ("http://203.0.113.9/", "address_documentation"),
    ("http://[2001:db8::1]/", "address_documentation"),
    ("http://[3fff::1]/", "address_documentation"),
    ("http://198.18.0.1/", "address_benchmark"),
    ("http://198.19.255.255/", "address_benchmark"),
    ("http://192.0.0.8/", "address_reserved"),
    ("http://192.31.196.1/", "address_reserved"),
    // Many at once, nobody.
    ("http://224.0.0.1/", "address_multicast"),
    ("http://239.255.255.250/", "address_multicast"),
    ("http://255.255.255.255/", "address_multicast"),
    ("http://4294967295/", "address_multicast"),
    ("http://[ff02::1]/", "address_multicast"),
    ("http://240.0.0.1/", "address_reserved"),
    ("http://254.1.1.1/", "address_reserved"),
    ("http://223.255.255.255/", "ok"),
    // Relays to an IPv4 address.
    ("http://[2002:7f00:1::]/", "address_tunnel"),
    ("http://[2002:a9fe:a9fe::1]/", "address_tunnel"),
    (
        "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
        "address_tunnel",
    ),
    ("http://[64:ff9b:1::a00:1]/", "address_tunnel"),
    ("http://[::10.0.0.1]/", "address_tunnel"),
    ("http://[::127.0.0.1]/", "address_tunnel"),
    ("http://192.88.99.1/", "address_tunnel"),
    ("http://[2001:10::1]/", "address_reserved"),
    ("http://[4000::1]/", "address_reserved"),
    ("http://[100::1]/", "address_reserved"),
    ("http://[5f00::1]/", "address_reserved"),
    ("http://[::ffff:8.8.8.8]/", "ok"),
    ("http://[64:ff9b::808:808]/", "ok"),
];

#[test]
fn each_url_of_the_table_gets_its_verdict() {
    let wrong: Vec<String> = URLS
        .iter()
        .filter(|(url, expected)| verdict(url) != *expected)
        .map(|(url, expected)| format!("{url}: {} instead of {expected}", verdict(url)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_backslash_is_a_slash_and_not_a_way_to_another_host() {
    let target = check_url("http://example.com\\@169.254.169.254/", &nobody(), &[]).unwrap();
    assert_eq!(target.url.host_str(), Some("example.com"));
}

#[test]
fn a_long_url_is_refused_before_it_is_read() {
    let url = format!("https://example.com/{}", "a".repeat(URL_MAX));
    assert_eq!(check_url(&url, &nobody(), &[]), Err(Refusal::Malformed));
}

#[test]
fn the_fragment_never_leaves() {
    let target = check_url("https://example.com/a#secret", &nobody(), &[]).unwrap();
    assert_eq!(target.url.as_str(), "https://example.com/a");
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn one_bad_address_among_good_ones_refuses_the_name() {
    let good = ips(&["93.184.216.34", "2606:2800:220:1::1"]);
    assert_eq!(check_addresses(&good, &nobody(), false), Ok(()));
    for bad in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "fd00:ec2::254",
        "::ffff:10.0.0.1",
    ] {
        let mut mixed = good.clone();
        mixed.insert(1, bad.parse().unwrap());
        assert!(
            matches!(
                check_addresses(&mixed, &nobody(), false),
                Err(Refusal::Address(_))
            ),
            "{bad}"
        );
    }
    assert_eq!(
        check_addresses(&[], &nobody(), false),
        Err(Refusal::NoAddress)
    );
    let many = vec![IpAddr::from([8, 8, 8, 8]); ADDRESSES_MAX + 1];
    assert_eq!(
        check_addresses(&many, &nobody(), false),
        Err(Refusal::NoAddress)
    );
}

#[test]
fn an_origin_opens_itself_and_nothing_beside_it() {
    let allow = Allow::parse(&[
        "http://127.0.0.1:3000",
        "http://backoffice:3000",
        "http://localhost:3001",
    ])
    .unwrap();
    let check = |url: &str| check_url(url, &allow, &[]).map(|target| target.trusted);
    assert_eq!(check("http://127.0.0.1:3000/api?x=1"), Ok(true));
    assert_eq!(check("http://2130706433:3000/"), Ok(true)); // the same host, spelt differently
    assert_eq!(check("http://backoffice:3000/"), Ok(true));
    assert_eq!(check("http://BACKOFFICE.:3000/"), Ok(true));
    assert_eq!(check("http://localhost:3001/"), Ok(true));
    assert_eq!(check("http://backoffice:3001/"), Ok(false)); // its addresses are still checked
    for shut in [
        "http://127.0.0.1:3001/",
        "https://127.0.0.1:3000/",
        "http://127.0.0.2:3000/",
        "http://localhost:3000/",
        "http://[::1]:3000/",
    ] {
        assert_eq!(
            check(shut),
            Err(Refusal::Address(Range::Loopback)),
            "{shut}"
        );
    }
}

#[test]
fn a_network_opens_its_addresses_but_no_metadata_service() {
    let allow = Allow::parse(&["10.1.0.0/16", "169.254.0.0/16", "0.0.0.0/0", "::/0"]).unwrap();
    assert!(check_url("http://10.1.2.3/", &allow, &[]).is_ok());
    assert!(check_url("http://[::ffff:10.1.2.3]/", &allow, &[]).is_ok());
    assert!(check_url("http://169.254.1.1/", &allow, &[]).is_ok());
    for shut in [
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://168.63.129.16/",
    ] {
        assert_eq!(
            check_url(shut, &allow, &[]),
            Err(Refusal::Address(Range::Metadata)),
            "{shut}"
        );
    }
    let narrow = Allow::parse(&["10.1.0.0/16"]).unwrap();
    assert_eq!(
        check_url("http://10.2.0.1/", &narrow, &[]),
        Err(Refusal::Address(Range::Private))
    );
    let exact = Allow::parse(&["169.254.169.254"]).unwrap();
    assert!(check_url("http://169.254.169.254/", &exact, &[]).is_ok());
}

#[test]
fn a_trusted_name_may_be_private_but_never_the_metadata_service() {
    let allow = nobody();
    assert_eq!(check_addresses(&ips(&["10.0.0.7"]), &allow, true), Ok(()));
    assert_eq!(
        check_addresses(&ips(&["127.0.0.1", "::1"]), &allow, true),
        Ok(())
    );
    assert_eq!(
        check_addresses(&ips(&["10.0.0.7", "169.254.169.254"]), &allow, true),
        Err(Refusal::Address(Range::Metadata))
    );
}

#[test]
fn entries_that_are_neither_are_refused() {
    for entry in [
        "",
        "10.0.0.0/33",
        "backoffice",
        "backoffice:3000",
        "ftp://x",
        "http://u@x",
        "http://x/path",
        "http://x?q",
    ] {
        assert!(Allow::parse(&[entry]).is_err(), "{entry}");
    }
    for entry in [
        "10.0.0.1",
        "[::1]",
        "::1",
        "fd00::/8",
        "https://x",
        "http://x:81/",
    ] {
        assert!(Allow::parse(&[entry]).is_ok(), "{entry}");
    }
}

#[test]
fn the_back_office_is_opened_by_its_origin() {
    let mut allow = Allow::default();
    allow
        .add_origin_of("http://localhost:3000/api/?x=1")
        .unwrap();
    assert!(check_url("http://localhost:3000/other", &allow, &[]).is_ok());
    assert!(check_url("http://localhost:3001/", &allow, &[]).is_err());
    for bad in [
        "",
        "localhost:3000",
        "ftp://localhost/",
        "http://user@localhost/",
    ] {
        assert!(allow.add_origin_of(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_agents_list_of_hosts() {
    let hosts = ["api.example.com".to_owned(), "*.shop.example".to_owned()];
    let check = |url: &str| check_url(url, &nobody(), &hosts).is_ok();
    assert!(check("https://api.example.com/"));
    assert!(check("https://API.example.com./"));
    assert!(check("https://a.shop.example/"));
    assert!(check("https://a.b.shop.example/"));
    assert!(!check("https://shop.example/"));
    assert!(!check("https://evilshop.example/"));
    assert!(!check("https://example.com/"));
    assert!(!check("https://api.example.com.evil.test/"));
    assert!(!check("https://93.184.216.34/"));
}

#[test]
fn encryption_is_not_left_by_a_redirect() {
    let url = |text: &str| Url::parse(text).unwrap();
    assert_eq!(
        check_redirect(&url("https://a/"), &url("http://a/")),
        Err(Refusal::Scheme)
    );
    assert_eq!(
        check_redirect(&url("http://a/"), &url("https://a/")),
        Ok(())
    );
    assert_eq!(
        check_redirect(&url("https://a/"), &url("https://b/")),
        Ok(())
    );
}
