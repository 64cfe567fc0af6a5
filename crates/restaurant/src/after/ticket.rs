//! The ticket of an order, for the kitchen: as text, as bytes for a printer (ESC/POS) and as a page to print.
//!
//! One layout, three ways to write it. What a cook must not miss (notes, allergies) is a row of its own that is never shortened.

use std::fmt::Write as _;

use base64_simd::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use crate::domain::availability::date_spoken;
use crate::domain::facts::House;
use crate::domain::lang::Lang;
use crate::domain::money::Cents;

/// Characters of a line on paper of 80 mm.
pub const COLUMNS: usize = 42;
/// Fewest characters of a line (paper of 58 mm).
pub const COLUMNS_MIN: usize = 24;
/// Most characters of a line.
pub const COLUMNS_MAX: usize = 64;

/// How a row looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// As it is.
    Plain,
    /// Bold.
    Bold,
    /// Twice as high and wide, in the middle.
    Title,
    /// Bold, white on black where the paper can: what must not be missed.
    Alert,
    /// A line across.
    Rule,
}

/// A row: text, and what stands at the right edge.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    look: Look,
    left: String,
    right: String,
}

impl Row {
    /// With letters that the code page has not written as two.
    fn spelled(&self) -> Self {
        let spell = |text: &str| {
            let text = text.replace('œ', "oe").replace('Œ', "OE");
            text.replace('…', "...")
        };
        Self {
            look: self.look,
            left: spell(&self.left),
            right: spell(&self.right),
        }
    }
}

/// The ticket of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    lang: Lang,
    title: String,
    rows: Vec<Row>,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .trim()
}

fn money(value: &Value, name: &str) -> Cents {
    Cents::from_json(&value[name]).unwrap_or(Cents::ZERO)
}

/// Control characters would command the printer, or break the page.
fn clean(text: &str) -> String {
    let spaced = text.chars().map(|character| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    });
    spaced
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// `19:30`, with the day where it is another one.
pub(super) fn clock(house: &House, lang: Lang, at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_zoned(house.zone()), now.to_zoned(house.zone()));
    let time = at.strftime("%H:%M").to_string();
    if at.date() == now.date() {
        return time;
    }
    let day = date_spoken(lang, at.date());
    format!("{day} {time}")
}

/// An instant of a row as the wire has it.
pub(super) fn instant(row: &Value, name: &str) -> Option<Timestamp> {
    row.get(name)?.as_str()?.parse().ok()
}

/// What was chosen with a dish: `Taille : grande`.
pub(super) fn choices(line: &Value) -> Vec<String> {
    let options = line["selectedOptions"].as_array().into_iter().flatten();
    options
        .filter_map(|option| {
            let choice = match &option["choice"] {
                Value::String(choice) => choice.clone(),
                Value::Array(choices) => {
                    let words: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
                    words.join(", ")
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
            };
            let name = text(option, "name");
            match (name.is_empty(), choice.trim().is_empty()) {
                (_, true) => None,
                (true, false) => Some(choice),
                (false, false) => Some(format!("{name} : {choice}")),
            }
        })
        .collect()
}

impl Ticket {
    /// The ticket of an order as the wire has it, with its `items` and, where the house knows them, its guest's `customerAllergies`.
    pub fn of(house: &House, order: &Value, now: Timestamp) -> Self {
        Self::written(house, order, now, false)
    }

    /// The same for an order whose dishes changed since its first ticket.
    pub fn changed(house: &House, order: &Value, now: Timestamp) -> Self {
        Self::written(house, order, now, true)
    }

    fn written(house: &House, order: &Value, now: Timestamp, is_changed: bool) -> Self {
        let lang = house.lang();
        let number = order["orderNumber"].as_i64().unwrap_or_default();
        let title = format!("{} {number}", lang.pick("Commande n°", "Order no."));
        let mut ticket = Self {
            lang,
            title: title.clone(),
            rows: Vec::new(),
        };
        ticket.put(Look::Plain, &house.name, "");
        ticket.put(Look::Title, &title, "");
        if is_changed {
            let changed = lang.pick(
                "MODIFIÉE : remplace le ticket précédent",
                "CHANGED: replaces the ticket before",
            );
            ticket.put(Look::Alert, changed, "");
        }
        ticket.head(house, order, now);
        ticket.rule();
        for line in order["items"].as_array().into_iter().flatten() {
            ticket.dish(house, line);
        }
        ticket.rule();
        ticket.foot(house, order);
        ticket
    }

    fn put(&mut self, look: Look, left: &str, right: &str) {
        let (left, right) = (clean(left), clean(right));
        if !left.is_empty() || !right.is_empty() {
            self.rows.push(Row { look, left, right });
        }
    }

    fn rule(&mut self) {
        self.rows.push(Row {
            look: Look::Rule,
            left: String::new(),
            right: String::new(),
        });
    }

    fn head(&mut self, house: &House, order: &Value, now: Timestamp) {
        let lang = self.lang;
        let kind = match text(order, "orderType") {
            "delivery" => lang.pick("LIVRAISON", "DELIVERY"),
            "dine_in" => lang.pick("SUR PLACE", "DINE IN"),
            _ => lang.pick("À EMPORTER", "PICKUP"),
        };
        let when = instant(order, "estimatedReadyAt").map(|at| clock(house, lang, at, now));
        self.put(Look::Bold, kind, &when.unwrap_or_default());
        if text(order, "status") == "cancelled" {
            self.put(Look::Alert, lang.pick("ANNULÉE", "CANCELLED"), "");
        }
        if let Some(at) = instant(order, "cookStartAt") {
            self.put(
                Look::Plain,
                lang.pick("Début de préparation", "Start cooking"),
                &clock(house, lang, at, now),
            );
        }
        let who = [text(order, "customerName"), text(order, "customerPhone")];
        self.put(Look::Plain, who.join(" ").trim(), "");
        self.put(Look::Plain, text(order, "deliveryAddress"), "");
        let notes = text(order, "notes");
        self.put(Look::Alert, notes, "");
        let known = order["customerAllergies"].as_array().into_iter().flatten();
        let known: Vec<&str> = known.filter_map(Value::as_str).collect();
        if !known.is_empty() {
            let allergies = lang.pick("Allergies connues :", "Known allergies:");
            self.put(
                Look::Alert,
                &format!("{allergies} {}", known.join(", ")),
                "",
            );
        }
    }

    fn dish(&mut self, house: &House, line: &Value) {
        let count = line["quantity"].as_i64().unwrap_or(1);
        let price = money(line, "totalPrice").spoken(self.lang, &house.currency);
        self.put(
            Look::Bold,
            &format!("{count} x {}", text(line, "name")),
            &price,
        );
        for choice in choices(line) {
            self.put(Look::Plain, &format!("+ {choice}"), "");
        }
        let notes = text(line, "notes");
        if !notes.is_empty() {
            self.put(Look::Alert, &format!("! {notes}"), "");
        }
    }

    fn foot(&mut self, house: &House, order: &Value) {
        let lang = self.lang;
        let fee = money(order, "deliveryFee");
        if fee != Cents::ZERO {
            self.put(
                Look::Plain,
                lang.pick("Livraison", "Delivery"),
                &fee.spoken(lang, &house.currency),
            );
        }
        let total = money(order, "total").spoken(lang, &house.currency);
        self.put(Look::Bold, lang.pick("TOTAL", "TOTAL"), &total);
        let paid = match text(order, "paymentMethod") {
            "card" => lang.pick("Paiement : carte", "Payment: card"),
            "online" => lang.pick("Paiement : en ligne", "Payment: online"),
            _ => lang.pick("Paiement : espèces", "Payment: cash"),
        };
        self.put(Look::Plain, paid, "");
    }

    /// Lines of so many characters at most, as a fixed font shows them.
    pub fn text(&self, columns: usize) -> String {
        let columns = columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
        let mut out = String::new();
        for row in &self.rows {
            for line in lay(row, columns) {
                out.push_str(&line);
                out.push('\n');
            }
        }
        out
    }

    /// Bytes for a printer that speaks ESC/POS (Epson's command set): code page 858, so that French letters and the euro sign are
    /// there; cut at the end.
    pub fn escpos(&self, columns: usize) -> Vec<u8> {
        let columns = columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
        // ESC @ (begin anew), ESC t 19 (code page 858).
        let mut out = vec![0x1b, b'@', 0x1b, b't', 19];
        for row in &self.rows {
            let (before, after): (&[u8], &[u8]) = match row.look {
                Look::Plain | Look::Rule => (&[], &[]),
                // ESC E n: bold.
                Look::Bold => (&[0x1b, b'E', 1], &[0x1b, b'E', 0]),
                // ESC a 1: in the middle; GS ! 0x11: twice as high and wide.
                Look::Title => (
                    &[0x1b, b'a', 1, 0x1d, b'!', 0x11],
                    &[0x1d, b'!', 0, 0x1b, b'a', 0],
                ),
                // GS B n: white on black.
                Look::Alert => (
                    &[0x1b, b'E', 1, 0x1d, b'B', 1],
                    &[0x1d, b'B', 0, 0x1b, b'E', 0],
                ),
            };
            out.extend_from_slice(before);
            let columns = if row.look == Look::Title {
                columns / 2
            } else {
                columns
            };
            for line in lay(&row.spelled(), columns) {
                out.extend(line.chars().map(code_page_858));
                out.push(b'\n');
            }
            out.extend_from_slice(after);
        }
        // ESC d 4: four lines on; GS V 66 0: cut.
        out.extend_from_slice(&[0x1b, b'd', 4, 0x1d, b'V', 66, 0]);
        out
    }

    /// The same, for a text column.
    pub(super) fn escpos_base64(&self, columns: usize) -> String {
        STANDARD.encode_to_string(self.escpos(columns))
    }

    /// A page to print.
    pub fn html(&self) -> String {
        let mut out = String::new();
        let title = escape(&self.title);
        let lang = self.lang.pick("fr", "en");
        let _ = write!(
            out,
            "<!doctype html>\n<html lang=\"{lang}\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\n<body>\n"
        );
        for row in &self.rows {
            let (left, right) = (escape(&row.left), escape(&row.right));
            let _ = match row.look {
                Look::Rule => writeln!(out, "<hr>"),
                Look::Title => writeln!(out, "<h1>{left}</h1>"),
                Look::Plain => writeln!(out, "<p><span>{left}</span><span>{right}</span></p>"),
                Look::Bold => writeln!(
                    out,
                    "<p class=\"bold\"><span>{left}</span><span>{right}</span></p>"
                ),
                Look::Alert => {
                    writeln!(out, "<p class=\"alert\"><strong>{left}</strong></p>")
                }
            };
        }
        out.push_str("</body></html>\n");
        out
    }
}

const STYLE: &str = "@page{size:80mm auto;margin:3mm}body{font:14px/1.35 system-ui,sans-serif;max-width:76mm;margin:0 auto;color:#000;\
background:#fff}h1{font-size:1.6em;text-align:center;margin:.3em 0}p{display:flex;justify-content:space-between;gap:1em;margin:.15em 0;\
overflow-wrap:anywhere}.bold{font-weight:700}.alert{background:#000;color:#fff;padding:.15em .4em;-webkit-print-color-adjust:exact;\
print-color-adjust:exact}hr{border:0;border-top:1px dashed #000}";

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The lines of a row: its text broken between words, the right part at the end of the first line.
fn lay(row: &Row, columns: usize) -> Vec<String> {
    if row.look == Look::Rule {
        return vec!["-".repeat(columns)];
    }
    let right = row.right.chars().count();
    let first = if right == 0 {
        columns
    } else {
        columns.saturating_sub(right + 1).max(8)
    };
    let mut lines = broken(&row.left, first, columns);
    if right > 0 {
        let line = lines.first_mut().map(std::mem::take).unwrap_or_default();
        let gap = columns.saturating_sub(line.chars().count() + right).max(1);
        let joined = format!("{line}{}{}", " ".repeat(gap), row.right);
        match lines.first_mut() {
            Some(first) => *first = joined,
            None => lines.push(joined),
        }
    }
    lines
}

/// Breaks a text between words; a word that is longer than a line is broken as well. Nothing is lost.
fn broken(text: &str, first: usize, others: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut room = first.max(1);
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let used = line.chars().count();
        let needed = word.len() + usize::from(used > 0);
        if used > 0 && used + needed > room {
            lines.push(std::mem::take(&mut line));
            room = others.max(1);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        while word.len() > room {
            let rest = word.split_off(room);
            line.extend(word);
            lines.push(std::mem::take(&mut line));
            room = others.max(1);
            word = rest;
        }
        line.extend(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Letters of code page 858 beyond ASCII.
#[rustfmt::skip]
const CODE_PAGE_858: &[(char, u8)] = &[
    ('Ç', 0x80), ('ü', 0x81), ('é', 0x82), ('â', 0x83), ('ä', 0x84), ('à', 0x85), ('å', 0x86), ('ç', 0x87), ('ê', 0x88),
    ('ë', 0x89), ('è', 0x8a), ('ï', 0x8b), ('î', 0x8c), ('ì', 0x8d), ('Ä', 0x8e), ('Å', 0x8f), ('É', 0x90), ('æ', 0x91),
    ('Æ', 0x92), ('ô', 0x93), ('ö', 0x94), ('ò', 0x95), ('û', 0x96), ('ù', 0x97), ('ÿ', 0x98), ('Ö', 0x99), ('Ü', 0x9a),
    ('ø', 0x9b), ('£', 0x9c), ('Ø', 0x9d), ('×', 0x9e), ('á', 0xa0), ('í', 0xa1), ('ó', 0xa2), ('ú', 0xa3), ('ñ', 0xa4),
    ('Ñ', 0xa5), ('ª', 0xa6), ('º', 0xa7), ('¿', 0xa8), ('®', 0xa9), ('½', 0xab), ('¼', 0xac), ('¡', 0xad), ('«', 0xae),
    ('»', 0xaf), ('Á', 0xb5), ('Â', 0xb6), ('À', 0xb7), ('©', 0xb8), ('ã', 0xc6), ('Ã', 0xc7), ('Ê', 0xd2), ('Ë', 0xd3),
    ('È', 0xd4), ('€', 0xd5), ('Í', 0xd6), ('Î', 0xd7), ('Ï', 0xd8), ('Ì', 0xde), ('Ó', 0xe0), ('ß', 0xe1), ('Ô', 0xe2),
    ('Ò', 0xe3), ('õ', 0xe4), ('Õ', 0xe5), ('Ú', 0xe9), ('Û', 0xea), ('Ù', 0xeb), ('ý', 0xec), ('Ý', 0xed), ('´', 0xef),
    ('§', 0xf5), ('¸', 0xf7), ('°', 0xf8), ('¨', 0xf9), ('·', 0xfa), ('²', 0xfd),
];

/// Code page 858 (850 with the euro sign), as far as French needs it; a letter that it has not is its plain one, else `?`.
fn code_page_858(character: char) -> u8 {
    if (' '..='~').contains(&character) {
        return u8::try_from(u32::from(character)).unwrap_or(b'?');
    }
    if let Some((_, byte)) = CODE_PAGE_858.iter().find(|(known, _)| *known == character) {
        return *byte;
    }
    match character {
        '\u{a0}' | '\u{202f}' => b' ',
        '’' | '‘' => b'\'',
        '“' | '”' => b'"',
        '–' | '—' => b'-',
        'č' | 'ć' => b'c',
        'Č' | 'Ć' => b'C',
        'š' | 'ś' | 'ș' | 'ş' => b's',
        'Š' | 'Ś' | 'Ș' | 'Ş' => b'S',
        'ž' | 'ź' | 'ż' => b'z',
        'Ž' | 'Ź' | 'Ż' => b'Z',
        'ł' => b'l',
        'Ł' => b'L',
        'ń' | 'ň' => b'n',
        'ę' | 'ě' => b'e',
        'ą' | 'ă' => b'a',
        'ő' => 0x94,
        'ű' => 0x81,
        'ř' => b'r',
        'ț' | 'ţ' => b't',
        'ğ' => b'g',
        'ı' => b'i',
        'Ÿ' => b'Y',
        _ => b'?',
    }
}

#[cfg(test)]
mod tests;
