//! The template language: what each form means, what each mistake says, and that nothing makes it panic or grow.
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "tests fail by panicking, and read as tables"
)]

use agent::template::{EvalError, Place, Rules, Scope, Template, Tree, UrlTemplate};
use agent::{Fault, limits};
use expect_test::{Expect, expect};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

const RULES: Rules = Rules {
    place: Place::ToolReply,
    compat: false,
};

struct World {
    config: Map<String, Value>,
    context: Map<String, Value>,
    data: Map<String, Value>,
    agent: Map<String, Value>,
    variables: Map<String, Value>,
    pre: Map<String, Value>,
    arguments: Value,
    reply: Value,
    zone: TimeZone,
}

fn members(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

impl World {
    fn new() -> Self {
        Self {
            config: members(
                json!({"restaurantId": "r 1", "open": true, "host": "back.example", "evil": "x@evil.example", "weird key": 7}),
            ),
            context: members(
                json!({"call_id": "call-1", "customer": {"name": "Éloïse & fils", "lat": 43.2965}, "none": null, "empty": ""}),
            ),
            data: members(json!({"systemPrompt": "Bonjour", "list": ["a", null, "c"]})),
            agent: members(json!({"name": "Marcel", "config": {"x": 1}})),
            variables: members(
                json!({"callerPhone": "+33612345678", "call_duration_sec": 61, "startedAt": "2026-11-21T10:00:00.000Z"}),
            ),
            pre: members(json!({"lookup": {"id": "o-1"}})),
            arguments: json!({"items": [{"id": 1, "notes": null}, {"id": 2}], "total": 34.5, "whole": 12, "yes": true, "text": " 12,50 ", "path": "../admin", "dots": "..", "when": "2026-11-21T18:30:00Z"}),
            reply: json!({"success": true, "customerLat": 43.1, "deep": [[{"x": 9}]]}),
            zone: TimeZone::get("Europe/Paris").unwrap(),
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            base_url: Some("http://back:3000"),
            config: &self.config,
            context: &self.context,
            data: &self.data,
            agent: &self.agent,
            variables: &self.variables,
            pre: Some(&self.pre),
            arguments: Some(&self.arguments),
            reply: Some(&self.reply),
            zone: &self.zone,
        }
    }
}

fn shown(fault: &Fault) -> String {
    format!("FAULT {fault}")
}

/// Each text with the value it has.
fn check(texts: &[&str], expect: Expect) {
    let world = World::new();
    let mut out = String::new();
    for text in texts {
        let result = match Template::compile(text, RULES) {
            Err(fault) => shown(&fault),
            Ok(template) => match template.value(&world.scope()) {
                Ok(Some(value)) => value.to_string(),
                Ok(None) => "(left out)".to_owned(),
                Err(error) => format!("ERROR {error}"),
            },
        };
        out.push_str(&format!("{text} → {result}\n"));
    }
    expect.assert_eq(&out);
}

fn check_urls(texts: &[&str], expect: Expect) {
    let world = World::new();
    let mut out = String::new();
    for text in texts {
        let result = match UrlTemplate::compile(text, RULES) {
            Err(fault) => shown(&fault),
            Ok(url) => url
                .evaluate(&world.scope(), &[])
                .unwrap_or_else(|error| format!("ERROR {error}")),
        };
        out.push_str(&format!("{text} → {result}\n"));
    }
    expect.assert_eq(&out);
}

#[test]
fn literals_values_and_words() {
    check(
        &[
            "confirmed",
            "true",
            "",
            "=",
            "=confirmed",
            "={{ctx.call_id}}",
            "={{$ai.total}}",
            "={{$ai.whole}}",
            "={{$ai.yes}}",
            "={{$ai.items}}",
            "={{$ai.items[1].id}}",
            "={{$ai.items.0.id}}",
            "={{$res}}",
            "={{$res.deep[0][0].x}}",
            "={{args.total}}",
            "={{session.systemPrompt}}",
            "={{pre.lookup.id}}",
            "={{agent.name}}",
            "={{config['weird key']}}",
            "={{BASE_URL}}",
            "={{callerPhone}}",
            "=Bonjour {{ctx.customer.name}}, {{$ai.total}} €",
            "={{ ctx.customer.name }}",
            "={{$ai.items}} and {{$ai.yes}}",
            "={{'{{'}} literal braces }}",
        ],
        expect![[r#"
            confirmed → "confirmed"
            true → "true"
             → ""
            = → ""
            =confirmed → "confirmed"
            ={{ctx.call_id}} → "call-1"
            ={{$ai.total}} → 34.5
            ={{$ai.whole}} → 12
            ={{$ai.yes}} → true
            ={{$ai.items}} → [{"id":1},{"id":2}]
            ={{$ai.items[1].id}} → 2
            ={{$ai.items.0.id}} → 1
            ={{$res}} → {"success":true,"customerLat":43.1,"deep":[[{"x":9}]]}
            ={{$res.deep[0][0].x}} → 9
            ={{args.total}} → 34.5
            ={{session.systemPrompt}} → "Bonjour"
            ={{pre.lookup.id}} → "o-1"
            ={{agent.name}} → "Marcel"
            ={{config['weird key']}} → 7
            ={{BASE_URL}} → "http://back:3000"
            ={{callerPhone}} → "+33612345678"
            =Bonjour {{ctx.customer.name}}, {{$ai.total}} € → "Bonjour Éloïse & fils, 34.5 €"
            ={{ ctx.customer.name }} → "Éloïse & fils"
            ={{$ai.items}} and {{$ai.yes}} → "[{\"id\":1,\"notes\":null},{\"id\":2}] and true"
            ={{'{{'}} literal braces }} → "{{ literal braces }}"
        "#]],
    );
}

#[test]
fn what_has_no_value_is_left_out() {
    check(
        &[
            "={{ctx.missing}}",
            "={{ctx.none}}",
            "={{ctx.empty}}",
            "={{ctx.customer.name.first}}",
            "={{$ai.items[9].id}}",
            "=Hello {{ctx.missing}}",
            "={{ctx.missing|default('x')}}",
            "={{ctx.none | default(0)}}",
            "={{ctx.missing|default(ctx.call_id)}}",
            "={{ctx.missing|default(null)}}",
            "={{ctx.empty|default('kept empty')}}",
        ],
        expect![[r#"
            ={{ctx.missing}} → (left out)
            ={{ctx.none}} → (left out)
            ={{ctx.empty}} → ""
            ={{ctx.customer.name.first}} → (left out)
            ={{$ai.items[9].id}} → (left out)
            =Hello {{ctx.missing}} → (left out)
            ={{ctx.missing|default('x')}} → "x"
            ={{ctx.none | default(0)}} → 0
            ={{ctx.missing|default(ctx.call_id)}} → "call-1"
            ={{ctx.missing|default(null)}} → (left out)
            ={{ctx.empty|default('kept empty')}} → ""
        "#]],
    );
}

#[test]
fn filters() {
    check(
        &[
            "={{$ai.text|trim}}",
            "={{$ai.text|float}}",
            "={{$ai.text|int}}",
            "={{$ai.total|int}}",
            "={{$ai.whole|float}}",
            "={{$ai.whole|string}}",
            "={{ctx.customer.name|int}}",
            "={{ctx.customer.name|int|default(3)}}",
            "={{$ai.yes|int}}",
            "={{ctx.empty|bool}}",
            "={{$ai.items|json}}",
            "={{ctx.customer.name|upper}}",
            "={{ctx.customer.name|urlencode}}",
            "={{data.list|join('+')}}",
            "={{data.list|first|upper}}",
            "={{data.list|last}}",
            "={{$ai.items|length}}",
            "={{$ai.when|date('%d/%m/%Y %H:%M')}}",
            "={{$ai.when|date}}",
            "={{ctx.call_id|date}}",
        ],
        expect![[r#"
            ={{$ai.text|trim}} → "12,50"
            ={{$ai.text|float}} → 12.5
            ={{$ai.text|int}} → 12
            ={{$ai.total|int}} → 34
            ={{$ai.whole|float}} → 12.0
            ={{$ai.whole|string}} → "12"
            ={{ctx.customer.name|int}} → (left out)
            ={{ctx.customer.name|int|default(3)}} → 3
            ={{$ai.yes|int}} → 1
            ={{ctx.empty|bool}} → false
            ={{$ai.items|json}} → "[{\"id\":1,\"notes\":null},{\"id\":2}]"
            ={{ctx.customer.name|upper}} → "ÉLOÏSE & FILS"
            ={{ctx.customer.name|urlencode}} → "%C3%89lo%C3%AFse%20%26%20fils"
            ={{data.list|join('+')}} → "a+c"
            ={{data.list|first|upper}} → "A"
            ={{data.list|last}} → "c"
            ={{$ai.items|length}} → 2
            ={{$ai.when|date('%d/%m/%Y %H:%M')}} → "21/11/2026 19:30"
            ={{$ai.when|date}} → "2026-11-21"
            ={{ctx.call_id|date}} → (left out)
        "#]],
    );
}

#[test]
fn mistakes_have_a_place_and_say_what_to_do() {
    check(
        &[
            "Bonjour {{ctx.name}}",
            "={{}}",
            "={{ctx.name",
            "=Éé {{ctx.name",
            "={{ctx.}}",
            "={{ctx name}}",
            "={{context.name}}",
            "={{cfg.name}}",
            "={{callerphone}}",
            "={{ctx.name|upcase}}",
            "={{ctx.name|default}}",
            "={{ctx.name|default(none)}}",
            "={{ctx.name|default('x}}",
            "={{ctx.name|upper(1)}}",
            "={{ctx.name|date('%Q %!')}}",
            "={{ctx[name]}}",
            "={{ctx[0}}",
            "={{BASE_URL.x}}",
            "={{transcript}}",
            "={{!if ctx.name}}",
        ],
        expect![[r#"
            Bonjour {{ctx.name}} → FAULT , character 8: The text holds {{ and is a literal: put = before its first character to have it filled in. [missing_equals]
            ={{}} → FAULT , character 1: The placeholder is empty: write a path between {{ and }}, e.g. {{ctx.call_id}}. [empty_placeholder]
            ={{ctx.name → FAULT , character 1: The placeholder is not closed: }} is missing. [unclosed]
            =Éé {{ctx.name → FAULT , character 4: The placeholder is not closed: }} is missing. [unclosed]
            ={{ctx.}} → FAULT , character 7: A name or number must follow the dot. [bad_path]
            ={{ctx name}} → FAULT , character 7: "n" cannot stand here: after a path come | with a filter, or }}. [bad_path]
            ={{context.name}} → FAULT , character 3: There is no namespace or variable "context". Known are BASE_URL, config, ctx, $ai, $res, data, pre, agent and the call variables (docs/templates.md). [unknown_name]
            ={{cfg.name}} → FAULT , character 3: There is no namespace or variable "cfg". Did you mean "ctx"? [unknown_name]
            ={{callerphone}} → FAULT , character 3: There is no namespace or variable "callerphone". Did you mean "callerPhone"? [unknown_name]
            ={{ctx.name|upcase}} → FAULT , character 12: There is no filter "upcase". Filters are default, json, int, float, bool, string, urlencode, upper, lower, trim, first, last, join, length, date. [unknown_filter]
            ={{ctx.name|default}} → FAULT , character 12: default needs a value, e.g. default(0) or default('none'). [bad_filter_argument]
            ={{ctx.name|default(none)}} → FAULT , character 20: A text must stand in quotes, e.g. default('none'). [bad_filter_argument]
            ={{ctx.name|default('x}} → FAULT , character 1: A text in quotes is not closed. [unclosed]
            ={{ctx.name|upper(1)}} → FAULT , character 12: The argument of upper must be a text in quotes of at most 64 characters. [bad_filter_argument]
            ={{ctx.name|date('%Q %!')}} → FAULT , character 12: The format of date cannot be used: strftime formatting failed: found unrecognized specifier directive `!`. [bad_filter_argument]
            ={{ctx[name]}} → FAULT , character 7: Between [ and ] stands a number from 0 or a name in quotes. [bad_path]
            ={{ctx[0}} → FAULT , character 8: A ] is missing. [bad_path]
            ={{BASE_URL.x}} → FAULT , character 3: "BASE_URL" is a text and has nothing below it; remove what follows it. [bad_path]
            ={{transcript}} → FAULT , character 3: "transcript" has no value here: it is known at the end of the call only. [not_here]
            ={{!if ctx.name}} → FAULT , character 3: "!" cannot stand here: after a path come | with a filter, or }}. [bad_path]
        "#]],
    );
}

#[test]
fn texts_from_before_the_equals_sign() {
    let compat = Rules {
        compat: true,
        ..RULES
    };
    let world = World::new();
    let template = Template::compile("{{BASE_URL}}/x/{{ctx.call_id}}", compat).unwrap();
    assert_eq!(
        template.value(&world.scope()),
        Ok(Some(json!("http://back:3000/x/call-1")))
    );
    assert_eq!(
        Template::compile("plain", compat).unwrap().literal(),
        Some("plain")
    );
}

#[test]
fn each_namespace_has_its_places() {
    let mut out = String::new();
    for place in [
        Place::BeforeCall,
        Place::BeforeCallReply,
        Place::Prompt,
        Place::ToolRequest,
        Place::ToolReply,
        Place::End,
    ] {
        let here: Vec<&str> = [
            "BASE_URL",
            "config",
            "ctx",
            "$ai",
            "$res",
            "data",
            "pre",
            "agent",
            "callerPhone",
            "outcome",
        ]
        .into_iter()
        .filter(|name| {
            let text = format!("={{{{{name}}}}}");
            Template::compile(
                &text,
                Rules {
                    place,
                    compat: false,
                },
            )
            .is_ok()
        })
        .collect();
        out.push_str(&format!("{place:?}: {}\n", here.join(" ")));
    }
    expect![[r#"
        BeforeCall: BASE_URL config ctx agent callerPhone
        BeforeCallReply: BASE_URL config ctx $res agent callerPhone
        Prompt: BASE_URL config ctx data agent callerPhone
        ToolRequest: BASE_URL config ctx $ai data pre agent callerPhone
        ToolReply: BASE_URL config ctx $ai $res data pre agent callerPhone
        End: BASE_URL config ctx data agent callerPhone outcome
    "#]]
    .assert_eq(&out);
}

#[test]
fn bodies_keep_their_order_and_lose_what_is_unknown() {
    let world = World::new();
    let template = json!({
        "z": "={{ctx.call_id}}", "a": "={{ctx.missing}}", "literal": null, "n": 3,
        "nested": {"only": "={{ctx.missing}}"}, "list": ["={{ctx.missing}}", "={{$ai.whole}}", "x"], "mixed": "=a {{ctx.missing}}"
    });
    let tree = Tree::compile(&template, "body", RULES).unwrap();
    let body = tree.value(&world.scope()).unwrap().unwrap().to_string();
    expect![[r#"{"z":"call-1","literal":null,"n":3,"nested":{},"list":[12,"x"]}"#]]
        .assert_eq(&body);
}

#[test]
fn every_mistake_of_a_body_is_found() {
    let faults = Tree::compile(
        &json!({"a": "={{x}}", "b": ["={{ctx.y|z}}"], "c": {"d": "{{ctx.e}}"}}),
        "tools[2].http.bodyTemplate",
        RULES,
    )
    .unwrap_err();
    let out: Vec<String> = faults
        .iter()
        .map(|fault| {
            format!(
                "{} @{:?} {}",
                fault.path,
                fault.position,
                fault.code.label()
            )
        })
        .collect();
    expect![[r#"
        [
            "tools[2].http.bodyTemplate.a @Some(3) unknown_name",
            "tools[2].http.bodyTemplate.b[0] @Some(9) unknown_filter",
            "tools[2].http.bodyTemplate.c.d @Some(0) missing_equals",
        ]
    "#]]
    .assert_debug_eq(&out);
}

#[test]
fn addresses_encode_values_and_keep_their_host() {
    check_urls(
        &[
            "={{BASE_URL}}/api/orders/status?restaurantId={{config.restaurantId}}&phone={{callerPhone}}",
            "={{BASE_URL}}/api/x?a={{ctx.missing}}&b=2&c={{ctx.none}}",
            "={{BASE_URL}}/api/x?a={{ctx.missing}}",
            "={{BASE_URL}}/api/x?a={{ctx.empty}}",
            "={{BASE_URL}}/api/x?n={{ctx.customer.name}}&l={{ctx.customer.lat}}",
            "={{BASE_URL}}/api/x?n={{ctx.customer.name|urlencode}}",
            "={{BASE_URL}}/api/{{ctx.customer.name}}/y",
            "={{BASE_URL}}/api/{{$ai.path}}",
            "={{BASE_URL}}/api/{{$ai.dots}}/secret",
            "={{BASE_URL}}/api/{{ctx.missing}}",
            "={{BASE_URL}}/api/{{ctx.empty}}",
            "=https://{{config.host}}/a b?q=é",
            "=https://{{config.evil}}/x",
            "https://fixed.example/path?x=1",
            "={{BASE_URL}}",
            "={{BASE_URL}}?x={{callerPhone}}",
            // Faults.
            "={{ctx.url}}/x",
            "=https://{{$ai.host}}/x",
            "={{BASE_URL}}{{$ai.path}}",
            "={{BASE_URL}}.evil.example/x",
            "=ftp://x/y",
            "=/relative",
            "=https://user:pass@x/y",
            "=https:///x",
            "=https://x/y#z",
            "",
        ],
        expect![[r#"
            ={{BASE_URL}}/api/orders/status?restaurantId={{config.restaurantId}}&phone={{callerPhone}} → http://back:3000/api/orders/status?restaurantId=r%201&phone=%2B33612345678
            ={{BASE_URL}}/api/x?a={{ctx.missing}}&b=2&c={{ctx.none}} → http://back:3000/api/x?b=2
            ={{BASE_URL}}/api/x?a={{ctx.missing}} → http://back:3000/api/x
            ={{BASE_URL}}/api/x?a={{ctx.empty}} → http://back:3000/api/x?a=
            ={{BASE_URL}}/api/x?n={{ctx.customer.name}}&l={{ctx.customer.lat}} → http://back:3000/api/x?n=%C3%89lo%C3%AFse%20%26%20fils&l=43.2965
            ={{BASE_URL}}/api/x?n={{ctx.customer.name|urlencode}} → http://back:3000/api/x?n=%C3%89lo%C3%AFse%20%26%20fils
            ={{BASE_URL}}/api/{{ctx.customer.name}}/y → http://back:3000/api/%C3%89lo%C3%AFse%20%26%20fils/y
            ={{BASE_URL}}/api/{{$ai.path}} → http://back:3000/api/..%2Fadmin
            ={{BASE_URL}}/api/{{$ai.dots}}/secret → ERROR a value makes an address that cannot be used
            ={{BASE_URL}}/api/{{ctx.missing}} → ERROR a value that the address needs is missing
            ={{BASE_URL}}/api/{{ctx.empty}} → ERROR a value that the address needs is missing
            =https://{{config.host}}/a b?q=é → https://back.example/a%20b?q=%C3%A9
            =https://{{config.evil}}/x → ERROR a value makes an address that cannot be used
            https://fixed.example/path?x=1 → https://fixed.example/path?x=1
            ={{BASE_URL}} → http://back:3000
            ={{BASE_URL}}?x={{callerPhone}} → http://back:3000?x=%2B33612345678
            ={{ctx.url}}/x → FAULT , character 1: This value cannot choose the host: an address begins with http:// or https://, BASE_URL or config. [not_here]
            =https://{{$ai.host}}/x → FAULT , character 9: This value cannot choose the host: an address begins with http:// or https://, BASE_URL or config. [not_here]
            ={{BASE_URL}}{{$ai.path}} → FAULT , character 13: A / or ? must follow the placeholder that holds the host. [bad_url]
            ={{BASE_URL}}.evil.example/x → FAULT : A / or ? must follow the placeholder that holds the host. [bad_url]
            =ftp://x/y → FAULT : Only http:// and https:// can be used. [bad_url]
            =/relative → FAULT : The address must begin with http:// or https://, or with {{BASE_URL}}. [bad_url]
            =https://user:pass@x/y → FAULT : The host cannot hold a user name, a password, spaces, escapes or accents (write xn--…); put credentials into headers. [bad_url]
            =https:///x → FAULT : The host is missing. [bad_url]
            =https://x/y#z → FAULT : An address for a request has no # part. [bad_url]
             → FAULT : The address is empty. [missing]
        "#]],
    );
}

#[test]
fn sizes_are_bounded() {
    let world = World::new();
    assert!(
        Template::compile(
            &format!("={}", "x".repeat(limits::TEMPLATE_BYTES_MAX)),
            RULES
        )
        .is_err()
    );
    assert!(
        Template::compile(
            &format!("={}", "{{ctx.a}}".repeat(limits::PLACEHOLDERS_MAX + 1)),
            RULES
        )
        .is_err()
    );
    assert!(Template::compile(&format!("={{{{ctx{}}}}}", ".a".repeat(40)), RULES).is_err());
    assert!(Template::compile(&format!("={{{{ctx.a{}}}}}", "|trim".repeat(9)), RULES).is_err());
    let mut deep = json!("x");
    for _ in 0..100 {
        deep = json!([deep]);
    }
    assert!(Tree::compile(&deep, "", RULES).is_err());
    let wide = Value::Array(vec![json!(1); limits::TEMPLATE_NODES_MAX + 1]);
    assert!(Tree::compile(&wide, "", RULES).is_err());
    // A small template and a large value: the output is bounded, whatever the value is.
    let mut context = world.context.clone();
    context.insert("big".to_owned(), json!("y".repeat(300_000)));
    let scope = Scope {
        context: &context,
        ..world.scope()
    };
    let template = Template::compile("={{ctx.big}}{{ctx.big}}", RULES).unwrap();
    assert_eq!(template.value(&scope), Err(EvalError::TooLarge));
    let url = UrlTemplate::compile("={{BASE_URL}}/x?y={{ctx.big}}", RULES).unwrap();
    assert_eq!(url.evaluate(&scope, &[]), Err(EvalError::TooLarge));
}

/// A small generator (xorshift64*): the seed is in the test, so that a failure can be run again.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % bound
    }
}

const PIECES: &[&str] = &[
    "=",
    "{{",
    "}}",
    "ctx",
    "$ai",
    "$res",
    "config",
    "data",
    "BASE_URL",
    ".",
    "[",
    "]",
    "0",
    "99999999999999999999",
    "'",
    "\"",
    "|",
    "default",
    "(",
    ")",
    "date",
    "%Y",
    "int",
    "json",
    "é",
    "🍕",
    "\u{0}",
    "\n",
    " ",
    "http://",
    "https://",
    "/",
    "?",
    "&",
    "#",
    "..",
    "%2e",
    "@",
    "\\",
    "x",
    "callerPhone",
    "items",
    "join",
    "-1",
    "1e400",
    "null",
    "true",
];

#[test]
fn no_text_makes_it_panic_and_no_address_leaves_its_host() {
    let world = World::new();
    let mut seeded = Seeded(0x00A1_10F0_5EED);
    for _ in 0..60_000 {
        let text: String = (0..seeded.below(14))
            .map(|_| PIECES[seeded.below(PIECES.len())])
            .collect();
        let rules = Rules {
            place: [
                Place::BeforeCall,
                Place::Prompt,
                Place::ToolRequest,
                Place::ToolReply,
                Place::End,
            ][seeded.below(5)],
            compat: seeded.below(2) == 0,
        };
        match Template::compile(&text, rules) {
            Ok(template) => {
                let _ = template.value(&world.scope());
                assert!(template.prose(&world.scope()).unwrap().len() <= limits::OUTPUT_BYTES_MAX);
            }
            Err(fault) => assert!(
                fault
                    .position
                    .is_none_or(|position| position <= text.chars().count()),
                "{text:?}"
            ),
        }
        if let Ok(url) = UrlTemplate::compile(&format!("={{{{BASE_URL}}}}/{text}"), rules)
            && let Ok(address) = url.evaluate(&world.scope(), &[])
        {
            assert!(
                address.starts_with("http://back:3000/"),
                "{text:?} → {address}"
            );
            assert!(
                address.bytes().all(|byte| byte.is_ascii_graphic()),
                "{text:?} → {address}"
            );
        }
    }
}

#[test]
fn any_value_in_any_place_of_an_address_stays_in_its_place() {
    let world = World::new();
    let path = UrlTemplate::compile("={{BASE_URL}}/a/{{ctx.v}}/b", RULES).unwrap();
    let query = UrlTemplate::compile("={{BASE_URL}}/a?x={{ctx.v}}&y=1", RULES).unwrap();
    let mut seeded = Seeded(0x00B0_77ED_5EED);
    for _ in 0..20_000 {
        let value: String = (0..seeded.below(8))
            .map(|_| PIECES[seeded.below(PIECES.len())])
            .collect();
        let context = members(json!({"v": value}));
        let scope = Scope {
            context: &context,
            ..world.scope()
        };
        if let Ok(address) = path.evaluate(&scope, &[]) {
            assert_eq!(address.matches('/').count(), 5, "{value:?} → {address}");
            assert!(
                !address.contains(['?', '#', '\\']) && address.ends_with("/b"),
                "{value:?} → {address}"
            );
        }
        let address = query.evaluate(&scope, &[]).unwrap();
        assert_eq!(
            (address.matches('&').count(), address.matches('=').count()),
            (1, 2),
            "{value:?} → {address}"
        );
    }
}
