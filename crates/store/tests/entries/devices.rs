//! Devices and where they were registered.

use jiff::{SignedDuration, Timestamp};
use store::{Device, DeviceFilter, Owned, StoredBinding};

use super::{A, B, ChangeError, PageRequest, Place, Sealed, two};

fn device(username: &str) -> Device {
    Device {
        label: format!("Telephone {username}"),
        username: username.to_owned(),
        password: Some(Sealed::new("a:b:c")),
        agent_id: Some(A.to_owned()),
        bindings_max: 5,
        is_active: true,
        settings: "{}".to_owned(),
        ..Device::default()
    }
}

fn binding(contact: &str, seconds: i64) -> StoredBinding {
    StoredBinding {
        contact: contact.to_owned(),
        path: "[]".to_owned(),
        instance: None,
        protocol: "udp".to_owned(),
        source: "192.0.2.1:5060".to_owned(),
        call_id: "call".to_owned(),
        sequence: 7,
        user_agent: Some("HT841".to_owned()),
        expires_at: Timestamp::now() + SignedDuration::from_secs(seconds),
    }
}

on_both! {
async fn a_device_is_kept_apart_and_its_user_name_is_new(place) {
    let (store, a, b) = two(place).await;
    let mut first = device("101");
    let made = store.create_device(&a, "d1", &first).await.unwrap();
    assert_eq!((made.content.clone(), made.version), (first.clone(), 1));
    assert!(matches!(store.create_device(&b, "d2", &Device { agent_id: None, ..device("101") }).await, Err(ChangeError::Duplicate { what: "the user name of the device" })));
    let elsewhere = Device { agent_id: Some(B.to_owned()), domain: "b.example".to_owned(), ..device("101") };
    store.create_device(&b, "d2", &elsewhere).await.unwrap();
    assert!(matches!(store.create_device(&a, "d3", &Device { agent_id: Some(B.to_owned()), ..device("103") }).await, Err(ChangeError::UnknownReference)), "another's agent");
    assert!(store.device(&b, "d1").await.unwrap().is_none());
    assert_eq!(store.node_owner_of(Owned::Device, "d1").await.unwrap(), Some(a.clone()));
    first.label = "Comptoir".to_owned();
    assert!(matches!(store.update_device(&a, "d1", &first, Some(9)).await, Err(ChangeError::VersionConflict { current: 1 })));
    store.update_device(&a, "d1", &first, Some(1)).await.unwrap();
    let filter = DeviceFilter { search: Some("compt".to_owned()), is_active: Some(true) };
    assert_eq!(store.devices(&a, &filter, &PageRequest::default()).await.unwrap().items.len(), 1);
    assert!(store.devices(&b, &filter, &PageRequest::default()).await.unwrap().items.is_empty());
    let stamp = store.node_directory_stamp().await.unwrap();
    assert_eq!(store.node_directory().await.unwrap().devices.len(), 2);
    store.update_device(&a, "d1", &Device { is_active: false, ..first }, None).await.unwrap();
    assert_ne!(store.node_directory_stamp().await.unwrap(), stamp);
    assert_eq!(store.node_directory().await.unwrap().devices.len(), 1);
    store.delete_device(&a, "d1", None).await.unwrap();
    assert!(matches!(store.delete_device(&a, "d1", None).await, Err(ChangeError::NotFound { what: "device" })));
    place.assert_sound().await;
}

async fn bindings_are_replaced_whole_and_go_with_their_device(place) {
    let (store, a, b) = two(place).await;
    store.create_device(&a, "d1", &device("101")).await.unwrap();
    let two_of_them = [binding("sip:101@10.0.0.1", 60), binding("sip:101@10.0.0.2", -1)];
    store.set_device_bindings(&a, "d1", &two_of_them).await.unwrap();
    let now = Timestamp::now();
    let known = store.node_device_bindings(now).await.unwrap();
    assert_eq!(known.len(), 1, "what has expired is not read");
    assert_eq!((known[0].0.as_str(), known[0].1.contact.as_str(), known[0].1.sequence), ("d1", "sip:101@10.0.0.1", 7));
    assert!(store.set_device_bindings(&b, "d1", &[binding("sip:101@10.0.0.9", 60)]).await.is_err(), "another's device");
    store.set_device_bindings(&a, "d1", &[binding("sip:101@10.0.0.3", 60)]).await.unwrap();
    assert_eq!(store.node_device_bindings(now).await.unwrap()[0].1.contact, "sip:101@10.0.0.3");
    store.delete_device(&a, "d1", None).await.unwrap();
    assert!(store.node_device_bindings(now).await.unwrap().is_empty());
    place.assert_sound().await;
}
}
