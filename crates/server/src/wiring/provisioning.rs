//! The back office's account at the voice server of this process: made at the first start, with the key by which it provisions and
//! the secret by which its tools and webhooks are signed.

use call::TenantId;
use catalog::Message;
use courier::{Allow, Courier, CourierConfig, Secret, WEBHOOK_PURPOSE, WebhookSecret};
use restaurant::provision::{ACCOUNT, Voice};
use store::credential::NewKey;
use store::secret::Vault;
use store::{ApiKey, PageRequest, Realm, Store, Tenant, TenantFilter, TenantScope};

/// What the account's key is called in the vault.
const KEY_PURPOSE: &str = "provisioning";
/// First characters of an account's key.
const KEY_KIND: &str = "acc_";

fn failed(error: &(dyn std::error::Error + 'static)) -> Message {
    Message::new("start_failed").with("cause", crate::serve::causes(error))
}

/// The way to a voice server: nothing but its origin is let through.
///
/// # Errors
/// The address is none.
pub(super) fn voice(url: &str, key: Option<Secret>) -> Result<Voice, Message> {
    let config = CourierConfig {
        allow: Allow::parse(&[url]).map_err(|error| failed(&error))?,
        ..CourierConfig::default()
    };
    Ok(Voice {
        url: url.to_owned(),
        key,
        courier: Courier::new(config).map_err(|error| failed(&error))?,
    })
}

/// The key of the account here; account, key and secret are made where they are missing.
///
/// # Errors
/// The message says what the database said.
pub(super) async fn own_key(store: &Store, vault: &Vault) -> Result<Secret, Message> {
    let scope = account(store).await?;
    let kept = vault.get(store, &scope, WEBHOOK_PURPOSE).await;
    if kept.map_err(|error| failed(&error))?.is_none() {
        let mut random = [0_u8; 32];
        random[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        random[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        let secret = WebhookSecret::text_from(&random);
        vault
            .put(store, &scope, WEBHOOK_PURPOSE, secret.expose())
            .await
            .map_err(|error| failed(&error))?;
    }
    let kept = vault.get(store, &scope, KEY_PURPOSE).await;
    if let Some(key) = kept.map_err(|error| failed(&error))? {
        return Ok(Secret::new(key.expose()));
    }
    let made = NewKey::generate(KEY_KIND);
    let key = ApiKey {
        agent_id: None,
        name: "provisioning".to_owned(),
        prefix: made.prefix().to_owned(),
        hash: made.hash(),
        role: "admin".to_owned(),
        scopes: r#"["*"]"#.to_owned(),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    };
    store
        .create_api_key(Realm::Tenant(&scope), &store::new_id(), &key)
        .await
        .map_err(|error| failed(&error))?;
    vault
        .put(store, &scope, KEY_PURPOSE, made.text())
        .await
        .map_err(|error| failed(&error))?;
    Ok(Secret::new(made.text()))
}

/// The account of the application, found by its name or made.
async fn account(store: &Store) -> Result<TenantScope, Message> {
    let filter = TenantFilter {
        name: Some(ACCOUNT.to_owned()),
        ..TenantFilter::default()
    };
    let found = store.node_tenants(&filter, &PageRequest::default()).await;
    let found = found.map_err(|error| failed(&error))?;
    // The oldest, where there are several: the list begins with the newest.
    if let Some(entry) = found.items.last() {
        return Ok(TenantScope::new(TenantId::from(entry.id.as_str())));
    }
    let scope = TenantScope::new(TenantId::from(store::new_id().as_str()));
    let tenant = Tenant {
        name: ACCOUNT.to_owned(),
        email: String::new(),
        is_active: true,
        currency: "EUR".to_owned(),
        settings: "{}".to_owned(),
        balance_micro: None,
        budget_daily_micro: None,
        calls_max: None,
        webhook_secret: None,
    };
    store
        .node_create_tenant(&scope, &tenant)
        .await
        .map_err(|error| failed(&error))?;
    Ok(scope)
}
