//! The certificates by which the calls of a trunk are recognised, on the API: how they are written, and that each is of one account of the
//! platform only.

use super::sip_account_fields::AccountFields;
use crate::api::Api;
use crate::problem::Problem;
use crate::support::{Faults, object};
use axum::http::StatusCode;
use engine::client_certificate::{ClientCertificates, Fingerprint, Shared, is_certificate_name};
use engine::limits::{
    AUTHORITIES_BYTES_MAX, AUTHORITIES_PER_LINE_MAX, CERTIFICATE_NAME_BYTES_MAX,
    CERTIFICATES_PER_LINE_MAX,
};
use serde_json::Value;
use store::{SipAccount, TenantScope};

/// Fingerprints as OpenSSL shows them, names in lower case; what is neither stays as it is, to be found fault with.
pub(super) fn tidy(fields: &mut AccountFields) {
    for text in fields.client_certificates.iter_mut().flatten() {
        if let Ok(fingerprint) = text.parse::<Fingerprint>() {
            *text = fingerprint.to_string();
        }
    }
    for name in fields.client_names.iter_mut().flatten() {
        *name = name.trim().to_ascii_lowercase();
    }
    let none = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
    if none(&fields.client_certificates) {
        fields.client_certificates = None;
    }
    if none(&fields.client_names) {
        fields.client_names = None;
    }
    fields.client_ca = fields
        .client_ca
        .take()
        .map(|pem| pem.trim().to_owned())
        .filter(|pem| !pem.is_empty());
}

/// What is wrong with the certificates of an account taken alone.
pub(super) fn check(fields: &AccountFields, faults: &mut Faults) {
    let lists = [
        ("client_certificates", &fields.client_certificates),
        ("client_names", &fields.client_names),
    ];
    for (path, list) in lists {
        let few = list.iter().flatten().count() <= CERTIFICATES_PER_LINE_MAX;
        faults.unless(
            few,
            path,
            "range",
            &format!("≤ {CERTIFICATES_PER_LINE_MAX}"),
        );
    }
    for (number, text) in fields.client_certificates.iter().flatten().enumerate() {
        let is_one = text.parse::<Fingerprint>().is_ok();
        let path = format!("client_certificates[{number}]");
        faults.unless(is_one, &path, "format", "SHA-256: AB:CD:… (64 hex digits)");
    }
    for (number, name) in fields.client_names.iter().flatten().enumerate() {
        let path = format!("client_names[{number}]");
        let expected = format!("sip.example.com (≤ {CERTIFICATE_NAME_BYTES_MAX})");
        faults.unless(is_certificate_name(name), &path, "format", &expected);
    }
    if let Some(pem) = &fields.client_ca {
        let expected = format!("PEM (≤ {AUTHORITIES_PER_LINE_MAX}, ≤ {AUTHORITIES_BYTES_MAX} B)");
        let fine = ClientCertificates::authorities_of(pem).is_some();
        faults.unless(fine, "client_ca", "format", &expected);
    }
    let knows_any = fields.client_certificates.is_some() || fields.client_names.is_some();
    let demands = fields.client_certificate_required == Some(true);
    let detail = "client_certificates, client_names";
    faults.unless(
        knows_any || !demands,
        "client_certificate_required",
        "required",
        detail,
    );
}

/// What the certificates of an account must be beside those of all others.
///
/// # Errors
/// 422: names that no authority could vouch for. 409: another account of the platform has one of them.
pub(super) async fn check_beside_others(
    api: &Api,
    scope: &TenantScope,
    account: &SipAccount,
) -> Result<(), Problem> {
    let own = ClientCertificates::of_settings(&Value::Object(object(&account.settings)));
    if own.is_empty() {
        return Ok(());
    }
    let server = api.engine.client_authorities();
    if !own.names.is_empty() && own.authorities.is_none() && server.is_empty() {
        return Err(Problem::field("client_ca", "required", "sip.client_ca"));
    }
    for settings in api.store.node_certificates_beside(scope).await? {
        let other = ClientCertificates::of_settings(&Value::Object(object(&settings)));
        let Some(shared) = own.shared_with(&other, &server) else {
            continue;
        };
        let what = match shared {
            Shared::Fingerprint(fingerprint) => fingerprint.to_string(),
            Shared::Name(name) => name,
        };
        let problem = Problem::new(StatusCode::CONFLICT, "api_certificate_shared");
        return Err(problem.with("certificate", what));
    }
    Ok(())
}
