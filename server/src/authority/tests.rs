use super::*;
use rcgen::{BasicConstraints, SanType};
use x509_parser::certification_request::X509CertificationRequest;

/// 2026-01-01.
const NOW_MS: i64 = 1_767_225_600_000;

fn request(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_is_the_same_after_reopening_and_private_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data/authority");
    let made = Authority::open_or_create(&folder, NOW_MS).unwrap();
    let opened = Authority::open_or_create(&folder, NOW_MS + DAY_MS).unwrap();
    assert_eq!(made.fingerprint(), opened.fingerprint());
    assert_eq!(made.server_chain(), opened.server_chain());
    assert_eq!(made.fingerprint(), *blake3::hash(made.certificate_der()).as_bytes());

    assert_eq!(mode_of(&folder), 0o700);
    let mut names: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [AUTHORITY_FILE, SERVER_FILE]);
    for name in names {
        assert_eq!(mode_of(&folder.join(name)), 0o600);
    }
    assert!(!format!("{made:?}").contains("PRIVATE"));
}

#[test]
fn the_server_certificate_is_renewed_in_its_last_thirty_days_alone() {
    let folder = tempfile::tempdir().unwrap();
    let open = |now_ms| Authority::open_or_create(folder.path(), now_ms).unwrap();
    let first = open(NOW_MS);
    let end_ms = NOW_MS + SERVER_LIFE_MS;
    assert_eq!(open(end_ms - 31 * DAY_MS).server_chain(), first.server_chain());
    let renewed = open(end_ms - 29 * DAY_MS);
    assert_ne!(renewed.server_chain()[0], first.server_chain()[0]);
    assert_eq!(renewed.fingerprint(), first.fingerprint());
    assert_eq!(open(end_ms).server_chain(), renewed.server_chain());
}

#[test]
fn a_damaged_authority_is_kept_and_named_but_a_damaged_server_certificate_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let made = Authority::open_or_create(folder.path(), NOW_MS).unwrap();

    std::fs::write(folder.path().join(SERVER_FILE), "nonsense").unwrap();
    let reopened = Authority::open_or_create(folder.path(), NOW_MS).unwrap();
    assert_eq!(reopened.fingerprint(), made.fingerprint());
    assert_ne!(reopened.server_chain()[0], made.server_chain()[0]);

    let path = folder.path().join(AUTHORITY_FILE);
    let server_text = std::fs::read_to_string(folder.path().join(SERVER_FILE)).unwrap();
    let whole = std::fs::read_to_string(&path).unwrap();
    let key_end = whole.find("-----BEGIN CERTIFICATE").unwrap();
    let foreign_key = server_text[..server_text.find("-----BEGIN CERTIFICATE").unwrap()].to_owned();
    for damaged in ["", "nonsense", &whole[..key_end], &whole[key_end..], &(foreign_key + &whole[key_end..])]
    {
        std::fs::write(&path, damaged).unwrap();
        let error = Authority::open_or_create(folder.path(), NOW_MS).unwrap_err();
        assert!(matches!(error, AuthorityError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("authority.pem is damaged"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "never overwritten");
    }
}

#[test]
fn a_server_certificate_of_another_authority_is_replaced() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Authority::open_or_create(one.path(), NOW_MS).unwrap();
    Authority::open_or_create(two.path(), NOW_MS).unwrap();
    std::fs::copy(two.path().join(SERVER_FILE), one.path().join(SERVER_FILE)).unwrap();
    let reopened = Authority::open_or_create(one.path(), NOW_MS).unwrap();
    check_leaf(&reopened.server_chain()[0], &first.root(), NOW_MS).unwrap();
}

#[test]
fn a_crash_before_the_rename_leaves_no_trouble() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("authority.pem.tmp"), "half").unwrap();
    Authority::open_or_create(folder.path(), NOW_MS).unwrap();
    assert!(!folder.path().join("authority.pem.tmp").exists());
}

#[test]
fn a_device_gets_its_number_and_nothing_that_its_request_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(folder.path(), NOW_MS).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut wishes = CertificateParams::default();
    wishes.distinguished_name.push(DnType::CommonName, "device-1");
    wishes.subject_alt_names = vec![SanType::DnsName(SERVER_NAME.try_into().unwrap())];
    wishes.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wishes.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let csr = wishes.serialize_request(&key).unwrap();

    let der = authority.sign_device(csr.der(), 4_294_967_295, NOW_MS, NOW_MS + YEAR_MS).unwrap();
    assert_eq!(device_no_of(&der).unwrap(), u32::MAX);
    assert_eq!(device_certificate(&der).unwrap().not_after_ms, NOW_MS + YEAR_MS);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=device-4294967295");
    assert!(!certificate.is_ca());
    assert!(certificate.subject_alternative_name().unwrap().is_none());
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    assert_eq!(certificate.public_key().subject_public_key.data, key.der_bytes());

    let renewed = authority.sign_device(csr.der(), u32::MAX, NOW_MS + 1000, NOW_MS + YEAR_MS).unwrap();
    assert_ne!(X509Certificate::from_der(&renewed).unwrap().1.serial, certificate.serial);
}

#[test]
fn an_ed25519_key_is_welcome_and_a_p384_key_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(folder.path(), NOW_MS).unwrap();
    let sign = |algorithm| {
        let csr = request(&KeyPair::generate_for(algorithm).unwrap());
        authority.sign_device(&csr, 7, NOW_MS, NOW_MS + DAY_MS)
    };
    assert_eq!(device_no_of(&sign(&rcgen::PKCS_ED25519).unwrap()).unwrap(), 7);
    assert!(matches!(sign(&rcgen::PKCS_ECDSA_P384_SHA384), Err(AuthorityError::BadRequest { .. })));
}

#[test]
fn a_bad_request_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(folder.path(), NOW_MS).unwrap();
    let good = request(&KeyPair::generate().unwrap());
    let sign = |csr: &[u8]| authority.sign_device(csr, 7, NOW_MS, NOW_MS + DAY_MS);

    let mut other_signature = good.clone();
    *other_signature.last_mut().unwrap() ^= 1;
    let mut long = good.clone();
    long.resize(REQUEST_BYTES_MAX + 1, 0);
    for bad in
        [&b""[..], b"nonsense", &good[..good.len() - 1], &other_signature, &long, authority.certificate_der()]
    {
        let error = sign(bad).unwrap_err();
        assert!(matches!(error, AuthorityError::BadRequest { device_no: 7, .. }), "{error}");
    }
    // The signed part begins after the outer header.
    let outer_header_bytes = 3;
    let (_, parsed) = X509CertificationRequest::from_der(&good).unwrap();
    for index in 0..parsed.certification_request_info.raw.len() {
        let mut flipped = good.clone();
        flipped[outer_header_bytes + index] ^= 0x10;
        assert!(sign(&flipped).is_err(), "a changed byte {index} must break the signature");
    }
}

#[test]
fn times_that_no_certificate_can_hold_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(folder.path(), NOW_MS).unwrap();
    let csr = request(&KeyPair::generate().unwrap());
    for (from_ms, to_ms) in [(-1, 5), (5, 5), (NOW_MS, NOW_MS - 1), (0, i64::MAX), (i64::MIN, 0)] {
        let error = authority.sign_device(&csr, 7, from_ms, to_ms).unwrap_err();
        assert!(matches!(error, AuthorityError::BadTimes { .. }), "{error}");
    }
}

#[test]
fn only_the_exact_form_of_a_device_name_is_a_device() {
    let key = KeyPair::generate().unwrap();
    let named = |names: &[&str]| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        device_no_of(params.self_signed(&key).unwrap().der())
    };
    assert_eq!(named(&["device-0"]).unwrap(), 0);
    for bad in
        ["", "device-", "device-01", "device-+1", "device--1", "device-4294967296", "Device-1", "device-1 "]
    {
        assert!(matches!(named(&[bad]), Err(AuthorityError::NotADevice { .. })), "{bad}");
    }
    assert!(named(&[]).is_err());
    assert!(device_no_of(b"nonsense").is_err());
}

#[test]
fn a_renewed_certificate_is_of_the_same_device_and_key_and_good_at_any_time_before_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(folder.path(), NOW_MS).unwrap();
    let request = request(&KeyPair::generate().unwrap());
    let shown = authority.sign_device(&request, 7, NOW_MS, NOW_MS + DAY_MS).unwrap();
    let shown = device_certificate(&shown).unwrap();
    let renewed = authority.renew_device(&shown, NOW_MS + YEAR_MS).unwrap();
    let (_, certificate) = X509Certificate::from_der(&renewed).unwrap();
    // A certificate made while the server's clock was ahead must be valid at once.
    assert_eq!(certificate.validity().not_before.timestamp(), 0);
    let renewed = device_certificate(&renewed).unwrap();
    assert_eq!(renewed, DeviceCertificate { not_after_ms: renewed.not_after_ms, ..shown.clone() });
    assert_eq!(renewed.not_after_ms / 1000, (NOW_MS + YEAR_MS) / 1000);
    let keyless = DeviceCertificate { public_key_der: vec![1, 2, 3], ..shown };
    assert!(matches!(
        authority.renew_device(&keyless, NOW_MS + YEAR_MS),
        Err(AuthorityError::NotADevice { .. })
    ));
}
