use courier::CourierConfig;
use jiff::Timestamp;

use super::*;

fn courier() -> Courier {
    Courier::new(CourierConfig::default()).unwrap()
}

fn senders(config: &SenderConfig) -> Result<Senders, BadSender> {
    Senders::new(config, courier())
}

fn notice(body: &str) -> Notice {
    let mut notice = Notice::for_test("n1", "sms", "06 12 34 56 78", 1, Timestamp::MAX);
    body.clone_into(&mut notice.body);
    notice
}

fn sms_of(url: &str, body: Option<&str>) -> SenderConfig {
    SenderConfig {
        sms_url: Some(Secret::new(url.to_owned())),
        sms_headers: Some(Secret::new("Authorization: Bearer abc\n".to_owned())),
        sms_body: body.map(str::to_owned),
        ..SenderConfig::default()
    }
}

#[test]
fn a_message_is_json_whatever_it_says() {
    let config = sms_of(
        "https://sms.example/send?id={id}",
        Some(r#"{"messages": [{"to": "{to}", "body": "{text}"}]}"#),
    );
    let senders = senders(&config).unwrap();
    let call = senders
        .sms
        .unwrap()
        .call(&notice("Dites \"{to}\" \\ à\nLéa"));
    assert_eq!(call.url, "https://sms.example/send?id=n1");
    assert_eq!(call.idempotency_key.as_deref(), Some("n1"));
    assert_eq!(
        call.headers,
        [("authorization".to_owned(), "Bearer abc".to_owned())]
    );
    let body: Value = serde_json::from_str(&call.body.unwrap()).unwrap();
    assert_eq!(body["messages"][0]["to"], "+33612345678");
    assert_eq!(body["messages"][0]["body"], "Dites \"{to}\" \\ à\nLéa");
}

#[test]
fn a_form_is_encoded() {
    let config = sms_of("https://sms.example/", Some("To={to}&Body={text}"));
    let call = senders(&config)
        .unwrap()
        .sms
        .unwrap()
        .call(&notice("a&b=é"));
    assert_eq!(
        call.body.as_deref(),
        Some("To=%2B33612345678&Body=a%26b%3D%C3%A9")
    );
    let kind = (
        "content-type".to_owned(),
        "application/x-www-form-urlencoded".to_owned(),
    );
    assert!(call.headers.contains(&kind));
}

#[tokio::test]
async fn a_setting_that_cannot_be_is_named_without_its_secret() {
    let mail = |url: &str, from: &str| SenderConfig {
        mail_url: Some(Secret::new(url.to_owned())),
        mail_from: Some(from.to_owned()),
        ..SenderConfig::default()
    };
    for (config, setting) in [
        (
            mail("http://u:hidden@mail.example", "a@b.example"),
            "mail_url",
        ),
        // The password would travel in clear, or could be made to.
        (
            mail("smtp://u:hidden@mail.example", "a@b.example"),
            "mail_url",
        ),
        (
            mail(
                "smtp://u:hidden@mail.example?tls=opportunistic",
                "a@b.example",
            ),
            "mail_url",
        ),
        (
            sms_of("https://a.example", Some("{\"text\": \"{text}\"}")),
            "sms_body",
        ),
        (mail("smtps://u:hidden@mail.example", "nobody"), "mail_from"),
        (sms_of("ftp://hidden", None), "sms_url"),
        (
            sms_of("https://a.example", Some("{\"to\": \"{to}\"}")),
            "sms_body",
        ),
    ] {
        let error = senders(&config).err().expect("it cannot be");
        assert_eq!(error.setting, setting);
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
    for url in [
        "smtps://u:p@mail.example",
        "smtp://u:p@mail.example:587?tls=required",
        "smtp://127.0.0.1:2525",
    ] {
        assert!(senders(&mail(url, "Pizza <a@b.example>")).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn a_printer_that_the_operator_did_not_name_is_not_reached() {
    let config = SenderConfig {
        printers: vec!["127.0.0.1:9".to_owned()],
        ..SenderConfig::default()
    };
    let senders = senders(&config).unwrap();
    let notice = Notice::for_test("n1", "printer", "127.0.0.1:22", 1, Timestamp::MAX);
    assert!(matches!(senders.send(&notice, None).await, Sent::Never(_)));
    let unset = Notice::for_test("n1", "email", "a@b.example", 1, Timestamp::MAX);
    let Sent::Never(error) = senders.send(&unset, None).await else {
        panic!("there is no sender");
    };
    assert!(error.contains("back_office.mail_url"));
}
