//! Encrypted destinations: whom we believe, and whom we do not.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use agent::{FailureKind, ToolReply};
use common::{Names, caller, get};
use courier::{Allow, Courier, CourierConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server with a certificate of its own for `name`, and that certificate as PEM.
async fn server(name: &str) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let pem = made.cert.pem();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![certificate], key)
    .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut part = [0; 4096];
                while matches!(stream.read(&mut part).await, Ok(count) if count > 0) {
                    let _ = stream.write_all(common::json("{}").as_bytes()).await;
                }
            });
        }
    });
    (address, pem)
}

async fn ask(extra_ca_pem: String, name: &str, port: u16) -> ToolReply {
    let names = Names::start(|_, _| vec![Ipv4Addr::LOCALHOST]).await;
    let courier = Courier::new(CourierConfig {
        allow: Allow::parse(&["127.0.0.1"]).unwrap(),
        extra_ca_pem: extra_ca_pem.into_bytes(),
        name_servers: vec![names.address],
        ..CourierConfig::default()
    })
    .unwrap();
    courier
        .run(&get(&format!("https://{name}:{port}/x")), &caller())
        .await
}

#[tokio::test]
async fn an_authority_of_the_operator_is_believed_for_its_name() {
    let (address, pem) = server("back.example").await;
    let done = ToolReply::Http {
        status: 200,
        body: "{}".to_owned(),
    };
    assert_eq!(ask(pem, "back.example", address.port()).await, done);
}

#[tokio::test]
async fn a_stranger_and_another_name_are_not_believed() {
    let refused = ToolReply::Failed {
        kind: FailureKind::Tls,
    };
    let (address, pem) = server("back.example").await;
    assert_eq!(
        ask(String::new(), "back.example", address.port()).await,
        refused,
        "nobody vouches for it"
    );
    assert_eq!(
        ask(pem, "other.example", address.port()).await,
        refused,
        "it is somebody else"
    );
}

#[test]
fn authorities_that_are_none_are_said_at_start() {
    let config = CourierConfig {
        extra_ca_pem: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
        ..CourierConfig::default()
    };
    assert!(Courier::new(config).is_err());
}
