//! What a call costs, in integers: micro-units of money (a millionth of a euro or dollar), rounded once at the end, half away from
//! zero. Prices are data: dated tables, found by the longest prefix of the model's name (contracts.md 1.8, protocols.md 1.8).

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::{Fault, FaultCode};

const BUILT_IN: &str = include_str!("../data/prices.json");
const MICRO: i128 = 1_000_000;
/// Micro-units in 100 percent, for margins.
const HUNDRED_PERCENT: i128 = 100 * MICRO;
/// Milliseconds of a minute.
const MINUTE_MS: i128 = 60_000;

/// Tokens of one response, as engines report them. Text is what is not audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input_tokens: u64,
    /// All output tokens.
    pub output_tokens: u64,
    /// Audio among the input, cached ones included.
    pub input_audio_tokens: u64,
    /// Audio among the output.
    pub output_audio_tokens: u64,
    /// Text among the input that was cached.
    pub cached_text_tokens: u64,
    /// Audio among the input that was cached.
    pub cached_audio_tokens: u64,
}

impl Usage {
    fn add(&mut self, other: Self) {
        for (mine, more) in [
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.input_audio_tokens, other.input_audio_tokens),
            (&mut self.output_audio_tokens, other.output_audio_tokens),
            (&mut self.cached_text_tokens, other.cached_text_tokens),
            (&mut self.cached_audio_tokens, other.cached_audio_tokens),
        ] {
            *mine = mine.saturating_add(more);
        }
    }
}

/// What a call has cost so far, in micro-units of `currency`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Costs {
    /// ISO 4217.
    pub currency: String,
    /// The engine, margin included.
    pub ai_micro: i64,
    /// The carrier's minutes, without margin.
    pub telephony_micro: i64,
    /// Costs that tools named, without margin.
    pub third_party_micro: i64,
    /// The sum.
    pub total_micro: i64,
    /// All tokens.
    pub usage: Usage,
    /// Models that have no price: their tokens are counted and cost nothing.
    pub unpriced: Vec<String>,
}

/// One row of a price table: micro-units for a million tokens, or for a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Price {
    model: String,
    valid_from: Date,
    text_in: i64,
    text_cached: i64,
    text_out: i64,
    audio_in: i64,
    audio_cached: i64,
    audio_out: i64,
    per_minute: i64,
}

/// All prices that an agent may need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PriceBook {
    rows: Vec<Price>,
}

impl PriceBook {
    /// The product's table, then the operator's rows, which win on the same model and date.
    pub(crate) fn new(operators: &[Value], faults: &mut Vec<Fault>) -> Self {
        let built_in: Vec<Value> = serde_json::from_str(BUILT_IN).unwrap_or_default();
        let mut book = Self::default();
        for row in built_in {
            book.rows.extend(price(&row));
        }
        for (index, row) in operators.iter().enumerate() {
            match price(row) {
                Some(price) => book.rows.push(price),
                None => faults.push(Fault::new(
                    format!("priceTables[{index}]"),
                    FaultCode::WrongType,
                    "A price has model, validFrom (2026-01-31) and amounts as decimals.",
                )),
            }
        }
        book
    }

    fn find(&self, model: &str, date: Date) -> Option<&Price> {
        // `max_by_key` gives the last among equals: the operator's row.
        self.rows
            .iter()
            .filter(|row| row.valid_from <= date && model.starts_with(row.model.as_str()))
            .max_by_key(|row| (row.model.len(), row.valid_from))
    }
}

fn price(row: &Value) -> Option<Price> {
    let amount = |name: &str| match row.get(name) {
        None | Some(Value::Null) => Some(0),
        Some(value) => decimal(value).filter(|amount| *amount >= 0),
    };
    Some(Price {
        model: row
            .get("model")?
            .as_str()
            .filter(|model| !model.is_empty())?
            .to_owned(),
        valid_from: row.get("validFrom")?.as_str()?.parse().ok()?,
        text_in: amount("textIn")?,
        text_cached: amount("textCached")?,
        text_out: amount("textOut")?,
        audio_in: amount("audioIn")?,
        audio_cached: amount("audioCached")?,
        audio_out: amount("audioOut")?,
        per_minute: amount("perMinute")?,
    })
}

/// A decimal as micro-units, from its text: `0.40`, `"0.40"`, `4`. More than six decimals are rounded.
pub(crate) fn decimal(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => decimal_text(&number.to_string()),
        Value::String(text) => decimal_text(text.trim()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// As [`decimal`], from a setting.
pub(crate) fn decimal_f64(number: f64) -> Option<i64> {
    decimal_text(&format!("{number}"))
}

fn decimal_text(text: &str) -> Option<i64> {
    if text.contains(['e', 'E']) {
        // Very small or very large: its exact decimals do not matter to a price.
        let number: f64 = text.parse().ok()?;
        return decimal_text(&format!("{number:.7}"));
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || whole.len() > 12 {
        return None;
    }
    let mut micro = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?;
    let mut scale = 100_000;
    for digit in fraction.chars().take(6) {
        micro += i64::from(digit.to_digit(10)?) * scale;
        scale /= 10;
    }
    if fraction.chars().nth(6).is_some_and(|digit| digit >= '5') {
        micro += 1;
    }
    Some(if negative { -micro } else { micro })
}

/// Micro-units as a JSON number with at most six decimals.
pub(crate) fn decimal_number(micro: i64) -> Value {
    let sign = if micro < 0 { "-" } else { "" };
    let (whole, fraction) = (
        micro.unsigned_abs() / 1_000_000,
        micro.unsigned_abs() % 1_000_000,
    );
    let text = format!("{sign}{whole}.{fraction:06}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    serde_json::from_str(text).unwrap_or_default()
}

/// Half away from zero; a result beyond the range stays at its end.
fn divide(numerator: i128, denominator: i128) -> i64 {
    let half = denominator / 2;
    let rounded = if numerator < 0 {
        numerator.saturating_sub(half)
    } else {
        numerator.saturating_add(half)
    } / denominator;
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

/// Factors of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Terms {
    pub(crate) currency: String,
    /// 30 % is 30,000,000.
    pub(crate) margin_micro_pct: i64,
    pub(crate) exchange_micro: i64,
    pub(crate) telephony_micro_per_min: i64,
}

/// What a call used, by model. Only counts: money is computed when asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meter {
    usage: BTreeMap<String, Usage>,
    engine_ms: BTreeMap<String, u64>,
    telephony_ms: u64,
    third_party_micro: i64,
}

/// Models that one call's meter knows.
const MODELS_MAX: usize = 16;

impl Meter {
    pub(crate) fn add_usage(&mut self, model: &str, usage: Usage) {
        if let Some(entry) = slot(&mut self.usage, model) {
            entry.add(usage);
        }
    }

    pub(crate) fn set_engine_ms(&mut self, model: &str, milliseconds: u64) {
        if let Some(entry) = slot(&mut self.engine_ms, model) {
            *entry = milliseconds;
        }
    }

    pub(crate) const fn set_telephony_ms(&mut self, milliseconds: u64) {
        self.telephony_ms = milliseconds;
    }

    /// Micro-units of the price table's currency.
    pub(crate) fn add_third_party(&mut self, micro: i64) {
        self.third_party_micro = self.third_party_micro.saturating_add(micro.max(0));
    }

    pub(crate) fn costs(&self, book: &PriceBook, terms: &Terms, date: Date) -> Costs {
        let mut unpriced = Vec::new();
        // Micro-units times a million: the price of a million tokens times tokens.
        let mut ai: i128 = 0;
        let mut total = Usage::default();
        for (model, usage) in &self.usage {
            total.add(*usage);
            match book.find(model, date) {
                Some(price) => ai = ai.saturating_add(tokens_cost(price, *usage)),
                None => unpriced.push(model.clone()),
            }
        }
        for (model, milliseconds) in &self.engine_ms {
            if let Some(price) = book.find(model, date) {
                let cost =
                    i128::from(*milliseconds) * i128::from(price.per_minute) * MICRO / MINUTE_MS;
                ai = ai.saturating_add(cost);
            }
        }
        let exchange = i128::from(terms.exchange_micro);
        let margin = HUNDRED_PERCENT + i128::from(terms.margin_micro_pct);
        let ai_micro = divide(
            ai.saturating_mul(margin).saturating_mul(exchange),
            MICRO * HUNDRED_PERCENT * MICRO,
        );
        let telephony = i128::from(self.telephony_ms) * i128::from(terms.telephony_micro_per_min);
        let telephony_micro = divide(telephony.saturating_mul(exchange), MINUTE_MS * MICRO);
        let third_party_micro = divide(i128::from(self.third_party_micro) * exchange, MICRO);
        Costs {
            currency: terms.currency.clone(),
            ai_micro,
            telephony_micro,
            third_party_micro,
            total_micro: ai_micro
                .saturating_add(telephony_micro)
                .saturating_add(third_party_micro),
            usage: total,
            unpriced,
        }
    }
}

fn slot<'a, T: Default>(map: &'a mut BTreeMap<String, T>, model: &str) -> Option<&'a mut T> {
    if !map.contains_key(model) && map.len() == MODELS_MAX {
        return None;
    }
    Some(map.entry(model.to_owned()).or_default())
}

/// Text is the total less the audio; cached tokens are a part of each and have their own price.
fn tokens_cost(price: &Price, usage: Usage) -> i128 {
    let cached_audio = usage.cached_audio_tokens.min(usage.input_audio_tokens);
    let text_in = usage.input_tokens.saturating_sub(usage.input_audio_tokens);
    let cached_text = usage.cached_text_tokens.min(text_in);
    [
        (text_in - cached_text, price.text_in),
        (cached_text, price.text_cached),
        (usage.input_audio_tokens - cached_audio, price.audio_in),
        (cached_audio, price.audio_cached),
        (
            usage
                .output_tokens
                .saturating_sub(usage.output_audio_tokens),
            price.text_out,
        ),
        (usage.output_audio_tokens, price.audio_out),
    ]
    .into_iter()
    .map(|(tokens, rate)| i128::from(tokens) * i128::from(rate))
    .fold(0, i128::saturating_add)
}
