//! Whether this node has time for one more call: how late it wakes, and how much of its cores it uses.
//!
//! A limit of calls is a guess; what a call costs depends on codecs, tools and the machine. Whoever takes more than it can carry makes all
//! of its calls late, a little more each second, so new calls are refused (503 with Retry-After) before that. Two signs say so: a clock
//! in the runtime of the calls that comes late again and again (other programs may be the reason), and the processor's time that the
//! process used. One stall is neither: what is late is counted by wakes, not by time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use catalog::Message;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::config::Shedding;
use crate::log::say;

/// The clock wakes this often where nothing is late.
const PERIOD: Duration = Duration::from_millis(10);
/// Wakes that are looked at together.
const WAKES: u32 = 8;
/// So many late ones among them close the door.
const LATE_WAKES: u32 = 6;
/// Processor time is measured over this long at least.
const CPU_WINDOW: Duration = Duration::from_millis(250);
/// So many windows in a row that were too full close the door.
const FULL_WINDOWS: u32 = 2;
/// It opens when a window was this many percent below the limit, so that it does not swing.
const CPU_RESERVE_PERCENT: f64 = 5.0;
/// It stays closed until nothing was late or full for this long.
const CALM: Duration = Duration::from_secs(1);
/// The lateness that is shown is the largest of this long.
const SHOWN: Duration = Duration::from_secs(1);

/// Why no new calls are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Strain {
    /// The calls are late.
    Late = 1,
    /// The processor is used up.
    Cpu = 2,
}

/// What the clock saw, and what follows from it. Times and processor time are arguments.
struct Pulse {
    limits: Shedding,
    cores: f64,
    /// One bit for each of the last wakes: whether it was late.
    wakes: u32,
    measured: Option<(Instant, Duration)>,
    full: u32,
    /// Share of the cores in the last window, percent.
    cpu_percent: f64,
    strained: Option<Instant>,
    closed: Option<Strain>,
}

impl Pulse {
    fn new(limits: Shedding, cores: f64) -> Self {
        Self {
            limits,
            cores: cores.max(1.0),
            wakes: 0,
            measured: None,
            full: 0,
            cpu_percent: 0.0,
            strained: None,
            closed: None,
        }
    }

    /// A wake at `now` that was to come `late` earlier; `used` is what the process has used of its processors until now.
    fn wake(&mut self, now: Instant, late: Duration, used: Duration) -> Option<Strain> {
        let is_late = !self.limits.late_max.is_zero() && late > self.limits.late_max;
        self.wakes = ((self.wakes << 1) | u32::from(is_late)) & ((1 << WAKES) - 1);
        self.measure(now, used);
        let limit = f64::from(self.limits.cpu_percent_max);
        let strain = if self.wakes.count_ones() >= LATE_WAKES {
            Some(Strain::Late)
        } else {
            (self.full >= FULL_WINDOWS).then_some(Strain::Cpu)
        };
        let reserve = CPU_RESERVE_PERCENT.min(limit / 2.0);
        let nearly = limit > 0.0 && self.cpu_percent > limit - reserve;
        if strain.is_some() || is_late || nearly {
            self.strained = Some(now);
        }
        match (self.closed, strain) {
            (None, Some(_)) => self.closed = strain,
            (Some(_), None) if self.calm(now) => self.closed = None,
            _ => {}
        }
        self.closed
    }

    fn calm(&self, now: Instant) -> bool {
        self.strained
            .is_none_or(|last| now.saturating_duration_since(last) >= CALM)
    }

    fn measure(&mut self, now: Instant, used: Duration) {
        let Some((since, before)) = self.measured else {
            self.measured = Some((now, used));
            return;
        };
        let window = now.saturating_duration_since(since);
        if window < CPU_WINDOW {
            return;
        }
        self.measured = Some((now, used));
        let spent = used.saturating_sub(before).as_secs_f64();
        self.cpu_percent = 100.0 * spent / window.as_secs_f64() / self.cores;
        let limit = f64::from(self.limits.cpu_percent_max);
        self.full = if limit > 0.0 && self.cpu_percent >= limit {
            self.full.saturating_add(1)
        } else {
            0
        };
    }
}

/// What the clock of this process last said, for whoever admits calls and for the figures. One atomic read.
#[derive(Debug, Default)]
pub(crate) struct Load {
    closed: AtomicU8,
    late_us: AtomicU32,
    cpu_permille: AtomicU32,
    refused: AtomicU32,
}

impl Load {
    /// Why there is no time for another call; `None`: there is.
    pub(crate) fn strain(&self) -> Option<Strain> {
        match self.closed.load(Ordering::Relaxed) {
            1 => Some(Strain::Late),
            2 => Some(Strain::Cpu),
            _ => None,
        }
    }

    pub(crate) fn tell(&self, strain: Option<Strain>) {
        let closed = strain.map_or(0, |strain| strain as u8);
        self.closed.store(closed, Ordering::Relaxed);
    }

    /// A call was refused for it.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How late the last second was at worst.
    pub(crate) fn late(&self) -> Duration {
        Duration::from_micros(u64::from(self.late_us.load(Ordering::Relaxed)))
    }

    /// Share of the cores that the process used of late, 0 to 1.
    pub(crate) fn cpu(&self) -> f64 {
        f64::from(self.cpu_permille.load(Ordering::Relaxed)) / 1000.0
    }
}

/// Collects the two signs and the verdict when figures are asked for.
#[derive(Debug)]
struct Figures(Arc<Load>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let load = &self.0;
        let strained = f64::from(u8::from(load.strain().is_some()));
        for (name, help, value) in [
            (
                "load_late_seconds",
                "How late the clock of the calls woke at worst in the last second",
                load.late().as_secs_f64(),
            ),
            (
                "load_cpu_ratio",
                "Share of the cores that the process used of late, 0 to 1",
                load.cpu(),
            ),
            (
                "load_strained",
                "1 while new calls are refused because there is no time for them",
                strained,
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// Adds them to the figures of the process.
pub(crate) fn register(registry: &mut Registry, load: &Arc<Load>) {
    registry.register_collector(Box::new(Figures(Arc::clone(load))));
}

/// The clock; it runs until it is aborted.
pub(crate) async fn watch(load: Arc<Load>, limits: Shedding) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut pulse = Pulse::new(limits, u32::try_from(cores).map_or(1.0, f64::from));
    let (mut worst, mut shown) = (Duration::ZERO, Instant::now());
    let mut begun = None;
    loop {
        let due = Instant::now() + PERIOD;
        tokio::time::sleep_until(due.into()).await;
        let now = Instant::now();
        let late = now.saturating_duration_since(due);
        worst = worst.max(late);
        if now.saturating_duration_since(shown) >= SHOWN {
            let micros = u32::try_from(worst.as_micros()).unwrap_or(u32::MAX);
            load.late_us.store(micros, Ordering::Relaxed);
            (worst, shown) = (Duration::ZERO, now);
        }
        let before = pulse.closed;
        let closed = pulse.wake(now, late, processor_time());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the cores in permille"
        )]
        let permille = (pulse.cpu_percent * 10.0) as u32;
        load.cpu_permille.store(permille, Ordering::Relaxed);
        load.tell(closed);
        tell(&load, limits, before, closed, now, &mut begun);
    }
}

/// The log says once that calls are refused, and once that they are taken again.
fn tell(
    load: &Load,
    limits: Shedding,
    before: Option<Strain>,
    after: Option<Strain>,
    now: Instant,
    begun: &mut Option<Instant>,
) {
    match (before, after) {
        (None, Some(strain)) => {
            *begun = Some(now);
            load.refused.store(0, Ordering::Relaxed);
            let message = Message::new("log_shedding").with("cause", strain.label());
            say(&message.with("max", strain.max(limits)));
        }
        (Some(_), None) => {
            let seconds = begun
                .take()
                .map_or(0, |begun| now.saturating_duration_since(begun).as_secs());
            let refused = load.refused.swap(0, Ordering::Relaxed);
            let message = Message::new("log_shedding_over").with("seconds", seconds);
            say(&message.with("refused", refused));
        }
        _ => {}
    }
}

impl Strain {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Cpu => "cpu",
        }
    }

    /// The limit that was reached: milliseconds, or percent of the cores.
    pub(crate) fn max(self, limits: Shedding) -> u32 {
        match self {
            Self::Late => u32::try_from(limits.late_max.as_millis()).unwrap_or(u32::MAX),
            Self::Cpu => limits.cpu_percent_max,
        }
    }
}

/// What this process has used of its processors, all threads.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{PERIOD, Pulse, Strain};
    use crate::config::Shedding;
    use std::time::{Duration, Instant};

    const LIMITS: Shedding = Shedding {
        from_calls: 0,
        late_max: Duration::from_millis(50),
        cpu_percent_max: 85,
    };

    /// A node at simulated time.
    struct Node {
        pulse: Pulse,
        now: Instant,
        used: Duration,
    }

    impl Node {
        fn new(limits: Shedding) -> Self {
            Self {
                pulse: Pulse::new(limits, 2.0),
                now: Instant::now(),
                used: Duration::ZERO,
            }
        }

        /// Wakes for `span`, each `late`, while `percent` of two cores are used.
        fn run(&mut self, span: Duration, late: Duration, percent: u32) -> Option<Strain> {
            let end = self.now + span;
            let mut last = self.pulse.closed;
            while self.now < end {
                let step = PERIOD + late;
                self.now += step;
                self.used += step * 2 * percent / 100;
                last = self.pulse.wake(self.now, late, self.used);
            }
            last
        }
    }

    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_node_with_time_takes_calls() {
        let mut node = Node::new(LIMITS);
        assert_eq!(node.run(10 * SECOND, 2 * MS, 70), None);
        assert_eq!(node.run(10 * SECOND, 45 * MS, 80), None);
    }

    #[test]
    fn one_stall_is_no_strain() {
        let mut node = Node::new(LIMITS);
        node.run(SECOND, MS, 30);
        assert_eq!(node.run(MS, 3 * SECOND, 0), None);
        assert_eq!(node.run(SECOND, MS, 30), None);
    }

    #[test]
    fn wakes_that_are_late_again_and_again_close_the_door() {
        let mut node = Node::new(LIMITS);
        node.run(SECOND, MS, 30);
        // Six wakes of 70 ms: less than half a second.
        assert_eq!(node.run(360 * MS, 60 * MS, 30), Some(Strain::Late));
        // One good wake among late ones does not open it, a second of good ones does.
        assert_eq!(node.run(10 * MS, MS, 30), Some(Strain::Late));
        assert_eq!(node.run(900 * MS, MS, 30), Some(Strain::Late));
        assert_eq!(node.run(200 * MS, MS, 30), None);
    }

    #[test]
    fn a_processor_that_is_used_up_closes_the_door_before_anything_is_late() {
        let mut node = Node::new(LIMITS);
        node.run(SECOND, MS, 60);
        assert_eq!(
            node.run(240 * MS, MS, 92),
            None,
            "one window may be a burst"
        );
        assert_eq!(node.run(600 * MS, MS, 92), Some(Strain::Cpu));
        assert_eq!(
            node.run(3 * SECOND, MS, 82),
            Some(Strain::Cpu),
            "too near to the limit"
        );
        assert_eq!(node.run(2 * SECOND, MS, 70), None);
    }

    #[test]
    fn a_small_limit_opens_again_as_well() {
        let mut node = Node::new(Shedding {
            cpu_percent_max: 2,
            ..LIMITS
        });
        assert_eq!(node.run(SECOND, MS, 3), Some(Strain::Cpu));
        assert_eq!(node.run(3 * SECOND, MS, 0), None);
    }

    #[test]
    fn limits_of_zero_never_refuse() {
        let mut node = Node::new(Shedding {
            from_calls: 0,
            late_max: Duration::ZERO,
            cpu_percent_max: 0,
        });
        assert_eq!(node.run(5 * SECOND, 500 * MS, 100), None);
    }
}
