//! Runs a script against a session at simulated time. Acting effects are expected in order and completely; records and journal
//! lines only when a script asks for them.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use call::{Effect, Input, Profile, Session, SessionStart};

use super::parse::{self, At, Line};
use super::render;

/// Steps in which the timers of one wait may fire.
const TIMER_STEPS_MAX: usize = 10_000;

struct Runner {
    started: Instant,
    now_ms: u64,
    profile: Profile,
    session: Option<Session>,
    acts: VecDeque<(u64, String)>,
    asides: VecDeque<String>,
    ended: bool,
}

/// Runs the script at a path; the error names the line.
pub(crate) fn script(path: &Path, base: Instant) -> Result<(), String> {
    let mut runner = Runner {
        started: base,
        now_ms: 0,
        profile: Profile::default(),
        session: None,
        acts: VecDeque::new(),
        asides: VecDeque::new(),
        ended: false,
    };
    runner.file(path)?;
    runner
        .nothing_left()
        .map_err(|error| format!("{}: at its end: {error}", path.display()))
}

impl Runner {
    fn file(&mut self, path: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        for (number, text) in text.lines().enumerate() {
            let place =
                |error: String| format!("{}:{}: {text}: {error}", path.display(), number + 1);
            match parse::line(text).map_err(place)? {
                Some(Line::Include(name)) => self.file(&path.with_file_name(name))?,
                Some(line) => self.line(line).map_err(place)?,
                None => {}
            }
        }
        Ok(())
    }

    fn line(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Profile(text) => parse::configure(&mut self.profile, &text),
            Line::Start { inbound, ring_ms } => {
                self.session = Some(Session::new(
                    self.started,
                    self.profile.clone(),
                    SessionStart { inbound, ring_ms },
                ));
                self.collect()
            }
            Line::At { at, input } => {
                let at_ms = match at {
                    At::Since(ms) => ms,
                    At::After(ms) => self.now_ms + ms,
                };
                if at_ms < self.now_ms {
                    return Err(format!("time goes back from {} ms", self.now_ms));
                }
                self.nothing_left()?;
                self.wait_until(at_ms)?;
                let Some(input) = input else { return Ok(()) };
                self.nothing_left()?;
                self.hand_in(input)
            }
            Line::Expect(expected) => self.expect(&expected),
            Line::ExpectNothing => self.nothing_left(),
            Line::Include(_) => Ok(()),
        }
    }

    fn wait_until(&mut self, at_ms: u64) -> Result<(), String> {
        for _ in 0..TIMER_STEPS_MAX {
            let Some(session) = &self.session else {
                return Err("not started".to_owned());
            };
            let Some(timeout) = session.poll_timeout() else {
                break;
            };
            let due_ms = u64::try_from((timeout - self.started).as_millis()).unwrap_or(u64::MAX);
            if due_ms > at_ms {
                break;
            }
            if due_ms <= self.now_ms && due_ms != 0 {
                return Err(format!(
                    "a timer is due at {due_ms} ms and it is {} ms",
                    self.now_ms
                ));
            }
            self.now_ms = due_ms;
            self.hand_in(Input::Timeout)?;
        }
        self.now_ms = at_ms;
        Ok(())
    }

    fn hand_in(&mut self, input: Input) -> Result<(), String> {
        let now = self.started + Duration::from_millis(self.now_ms);
        self.session
            .as_mut()
            .ok_or("not started")?
            .handle(now, input);
        self.collect()
    }

    fn collect(&mut self) -> Result<(), String> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        while let Some(effect) = session.poll_effect() {
            let text = render::effect(&effect);
            if self.ended {
                return Err(format!("after the end: {text}"));
            }
            self.ended = matches!(effect, Effect::Ended { .. });
            if render::is_aside(&effect) {
                self.asides.push_back(text);
            } else {
                self.acts.push_back((self.now_ms, text));
            }
        }
        Ok(())
    }

    /// `expect [@ms] text`: the next acting effect, or any aside not used yet.
    fn expect(&mut self, expected: &str) -> Result<(), String> {
        let (at_ms, expected) = match expected
            .strip_prefix('@')
            .and_then(|rest| rest.split_once(' '))
        {
            Some((at, rest)) => (
                Some(at.parse::<u64>().map_err(|_| "not a time".to_owned())?),
                rest,
            ),
            None => (None, expected),
        };
        if expected.starts_with("record ") || expected.starts_with("journal ") {
            let position = self
                .asides
                .iter()
                .position(|aside| matches(aside, expected));
            let position = position.ok_or_else(|| format!("only {:?}", self.asides))?;
            self.asides.remove(position);
            return Ok(());
        }
        for word in ["ended ", "hang_up ", "reject_call "] {
            if let Some(code) = expected.strip_prefix(word)
                && !parse::known_code(code)
            {
                return Err(format!("no such end reason: {code}"));
            }
        }
        let Some((happened_ms, act)) = self.acts.pop_front() else {
            return Err("nothing happened".to_owned());
        };
        if !matches(&act, expected) {
            return Err(format!("but at {happened_ms} ms: {act}"));
        }
        match at_ms {
            Some(at_ms) if at_ms != happened_ms => Err(format!("but at {happened_ms} ms")),
            Some(_) | None => Ok(()),
        }
    }

    fn nothing_left(&self) -> Result<(), String> {
        if self.acts.is_empty() {
            Ok(())
        } else {
            Err(format!("not expected: {:?}", self.acts))
        }
    }
}

/// The expectation is the effect, or its first words, or with `..` at its end its first characters.
fn matches(actual: &str, expected: &str) -> bool {
    if let Some(start) = expected.strip_suffix("..") {
        return actual.starts_with(start);
    }
    actual
        .strip_prefix(expected)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}
