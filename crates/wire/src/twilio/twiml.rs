//! The documents that carriers are answered with. Written as the official package of Twilio writes them: attributes in the order of
//! their names, an empty element as `<A />`.

use std::fmt::Write as _;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    text: String,
    children: Vec<Self>,
}

impl Element {
    /// An element without anything in it.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// With an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self.attributes.sort_by_key(|(name, _)| *name);
        self
    }

    /// With a text before its children.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// With a further child.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// The document with this element as its root.
    #[must_use]
    pub fn document(&self) -> String {
        let mut out = r#"<?xml version="1.0" encoding="UTF-8"?>"#.to_owned();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, "<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"{}\"", escaped(value, true));
        }
        if self.text.is_empty() && self.children.is_empty() {
            out.push_str(" />");
            return;
        }
        out.push('>');
        out.push_str(&escaped(&self.text, false));
        for child in &self.children {
            child.write(out);
        }
        let _ = write!(out, "</{}>", self.name);
    }
}

/// Characters that XML cannot hold are left out.
fn escaped(text: &str, attribute: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\r' if attribute => out.push_str("&#13;"),
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#09;"),
            '\t' | '\n' | '\r' => out.push(character),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(character),
        }
    }
    out
}

/// `<Response>` around the elements.
#[must_use]
pub fn response(children: impl IntoIterator<Item = Element>) -> Element {
    children
        .into_iter()
        .fold(Element::new("Response"), Element::child)
}

/// `<Connect><Stream url><Parameter …/></Stream></Connect>`: the call's audio both ways. Parameters without a value are left out.
#[must_use]
pub fn connect_stream(
    url: &str,
    status_callback: Option<&str>,
    parameters: &[(&str, &str)],
) -> Element {
    let mut stream = Element::new("Stream").with("url", url);
    if let Some(callback) = status_callback {
        stream = stream.with("statusCallback", callback);
    }
    for (name, value) in parameters {
        if !value.is_empty() {
            let parameter = Element::new("Parameter").with("name", *name);
            stream = stream.child(parameter.with("value", *value));
        }
    }
    Element::new("Connect").child(stream)
}

/// `<Dial>`: the caller is connected with a number, or with a SIP address.
#[must_use]
pub fn dial(target: &str, caller_id: Option<&str>) -> Element {
    let mut dial = Element::new("Dial");
    if let Some(caller_id) = caller_id {
        dial = dial.with("callerId", caller_id);
    }
    if target.starts_with("sip:") || target.starts_with("sips:") {
        dial.child(Element::new("Sip").text(target))
    } else {
        dial.text(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_with_parameters_and_hostile_values() {
        let connect = connect_stream(
            "wss://a.test/media-stream",
            None,
            &[("callerPhone", "<\"&'\u{1}\n>"), ("empty", "")],
        );
        assert_eq!(
            response([connect]).document(),
            concat!(
                r#"<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://a.test/media-stream">"#,
                r#"<Parameter name="callerPhone" value="&lt;&quot;&amp;'&#10;&gt;" /></Stream></Connect></Response>"#
            )
        );
    }

    #[test]
    fn a_transfer() {
        let document = |target| response([dial(target, None)]).document();
        assert!(
            document("+33123456789").ends_with("<Response><Dial>+33123456789</Dial></Response>")
        );
        assert!(
            document("sip:a@b.test?x=1&y=2")
                .ends_with("<Dial><Sip>sip:a@b.test?x=1&amp;y=2</Sip></Dial></Response>")
        );
    }
}
